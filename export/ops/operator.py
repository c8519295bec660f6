"""An operator: one computation, as PyTorch has it and as ONNX has it.

In PyTorch it is a registered operator (torch.library), which is traced as one node and differentiated through
the function that defines it. In ONNX it is a node of a domain of its own, together with a body of standard
operators: ONNX Runtime runs a kernel for it where it has one, and else the body. For other runtimes the body
is written out in place of the node.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

import torch
from onnx import IR_VERSION, FunctionProto, checker, defs
from onnxscript.values import Op, Opset
from torch import Tensor
from torch.library import custom_op

from regard.export.graph.opset import OPSET

ATTRIBUTES = {
    int: defs.OpSchema.AttrType.INT,
    bool: defs.OpSchema.AttrType.INT,
    float: defs.OpSchema.AttrType.FLOAT,
    str: defs.OpSchema.AttrType.STRING,
}  # of ONNX, by the annotation of a parameter
FLOATS = ["tensor(float16)", "tensor(float)", "tensor(double)", "tensor(bfloat16)"]
VERSION = 1  # of the domain
MADE: dict[str, "Operator"] = {}  # every operator by its title, since a network may call any of them


class Operator:
    """A function of tensors that stays one node in ONNX.

    Calling it computes the function by way of PyTorch's registered operator, so that a network which calls it
    can be traced, trained and exported.

    Args:
        function: differentiable PyTorch that answers one new tensor. Its parameters are annotated: first the
            inputs, each Tensor, all of one floating type, as the answer is; then attributes, each int, float,
            bool or str.
        body: the same in ONNX's standard operators of opset 20, inputs and attributes by the same names. Its
            domain and name are the operator's; PyTorch knows `<domain>::<name in snake case>`. A second
            operator of that name takes the first one's place.

    Raises:
        ValueError: body and function differ in their parameters, or ONNX does not take the body.
    """

    def __init__(self, function: Callable[..., Tensor], body: FunctionProto) -> None:
        self.function, self.body = function, body
        self.signature = inspect.signature(function, eval_str=True)
        self.inputs, self.attributes = _parameters(function.__name__, self.signature)
        self._check()
        self.torch_op = self._registered()
        MADE[self.title] = self

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        answer: Tensor = self.torch_op(*args, **options)
        return answer

    @property
    def title(self) -> str:
        """Domain and name."""
        return f"{self.domain}.{self.name}"

    @property
    def domain(self) -> str:
        """The ONNX domain."""
        return str(self.body.domain)

    @property
    def name(self) -> str:
        """The type of its nodes."""
        return str(self.body.name)

    @property
    def target(self) -> Callable[..., Any]:
        """What a traced graph calls."""
        target: Callable[..., Any] = self.torch_op._opoverload
        return target

    @property
    def translation(self) -> Callable[..., Any]:
        """The exporter's, of `target`: makes its node in a graph under construction."""
        node = Op(Opset(self.domain, VERSION), self.name, self._schema())

        def translate(*args: Any, **options: Any) -> Any:
            given = self.signature.bind(*args, **options)
            given.apply_defaults()
            tensors = (given.arguments.pop(name) for name in self.inputs)
            return node(*tensors, **given.arguments)

        return translate

    def _check(self) -> None:
        title = f"operator {self.title}"
        named = [*self.body.attribute, *(default.name for default in self.body.attribute_proto)]
        for what, function, body in (
            ("inputs", self.inputs, [*self.body.input]),
            ("attributes", sorted(self.attributes), sorted(named)),
        ):
            if [*function] != body:
                raise ValueError(
                    f"{title}: the function's {what} are {', '.join(function) or 'none'}, the body's "
                    f"{', '.join(body) or 'none'}; name them alike"
                )
        if len(self.body.output) != 1:
            raise ValueError(f"{title}: the body must have one output, got {len(self.body.output)}")
        if not re.fullmatch(r"[A-Za-z_]\w*", self.body.domain):
            raise ValueError(
                f"{title}: the domain must be a word of letters, digits and '_', got {self.body.domain!r}"
            )
        opsets = {entry.domain: entry.version for entry in self.body.opset_import}
        if opsets.get("") != OPSET:
            raise ValueError(f"{title}: the body must be written in opset {OPSET}, got {opsets.get('')}")
        context = checker.C.CheckerContext()
        context.ir_version, context.opset_imports = IR_VERSION, opsets
        try:
            checker.check_function(self.body, context)
        except checker.ValidationError as error:
            raise ValueError(f"{title}: ONNX does not take the body: {error}") from None

    def _registered(self) -> Any:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name).lower()
        registered = custom_op(f"{self.domain}::{name}", self.function, mutates_args=())
        registered.register_fake(self.function)
        registered.register_autograd(self._backward, setup_context=self._keep)
        return registered

    def _keep(self, ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[: len(self.inputs)])
        ctx.values = inputs[len(self.inputs) :]

    def _backward(self, ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """By computing the function again."""

        def again(*tensors: Tensor) -> Tensor:
            return self.function(*tensors, *ctx.values)

        pullback = torch.func.vjp(again, *ctx.saved_tensors)[1]
        return *pullback(grad), *(None for _ in ctx.values)

    def _schema(self) -> defs.OpSchema:
        parameter = defs.OpSchema.FormalParameter
        return defs.OpSchema(
            self.name,
            self.domain,
            VERSION,
            inputs=[parameter(name, "T") for name in self.inputs],
            outputs=[parameter(self.body.output[0], "T")],
            type_constraints=[("T", FLOATS, "")],
            attributes=[
                defs.OpSchema.Attribute(name, kind, required=True) for name, kind in self.attributes.items()
            ],
        )


def _parameters(function: str, signature: inspect.Signature) -> tuple[list[str], dict[str, Any]]:
    """Names of the inputs, and of the attributes with their types in ONNX."""
    inputs: list[str] = []
    attributes: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.annotation is Tensor and not attributes:
            inputs.append(name)
        elif parameter.annotation in ATTRIBUTES:
            attributes[name] = ATTRIBUTES[parameter.annotation]
        else:
            raise ValueError(
                f"{function}: parameters are first Tensor, then int, float, bool or str; {name} is "
                f"{getattr(parameter.annotation, '__name__', parameter.annotation)}"
            )
    return inputs, attributes
