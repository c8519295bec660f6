"""Whether an engine may be served: by its record, of the graph beside it, for all that the Card promises, and
in the TensorRT of the Triton that serves.
"""

from regard.contract.card import Card
from regard.contract.names import ENGINE_FILE
from regard.contract.plan import PLAN_FILE, Binding, Plan, plan_in, same_version
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.export.tensorrt.profile import profile_of
from regard.serving.repository.releases import RELEASE, TENSORRT
from regard.serving.repository.signature import Signature

ENGINE_FILES = (ENGINE_FILE, PLAN_FILE)


def engine_of(artifact: Artifact, signature: Signature) -> Plan:
    """The record of the engine beside an artifact's graph, or beside a variant's.

    signature: the graph's.

    Raises:
        InvalidInput: there is no engine, or not one that Triton's `tensorrt` backend would serve in place of
            the graph; names what differs.
    """
    folder = artifact.folder
    for file in ENGINE_FILES:
        if not (folder / file).is_file():
            raise InvalidInput(
                f"{folder} has no {file} beside its graph: build an engine of it first (regard build)"
            )
    plan = plan_in(folder)
    assert plan is not None  # its file is there
    if plan.graph_sha256 != artifact.sha256:
        raise InvalidInput(
            f"{folder / ENGINE_FILE} was built from another graph (SHA-256 {plan.graph_sha256[:12]}...) than "
            f"{artifact.model} ({artifact.sha256[:12]}...); build the engine again"
        )
    if plan.precision != artifact.precision:
        raise InvalidInput(
            f"{folder / ENGINE_FILE} computes in {plan.precision}, and its graph in {artifact.precision}; "
            "build the engine again"
        )
    if plan.library != "tensorrt":
        raise InvalidInput(
            f"{folder / ENGINE_FILE} is an engine of TensorRT-RTX {plan.version}, and Triton's `tensorrt` "
            f"backend loads TensorRT's own alone; build it inside the image of Triton {RELEASE}"
        )
    if not same_version(plan.version, TENSORRT[RELEASE]):
        raise InvalidInput(
            f"{folder / ENGINE_FILE} was built by TensorRT {plan.version}, and Triton {RELEASE}, which "
            f"serves, has {TENSORRT[RELEASE]}; build it inside the image of that release"
        )
    check_covers(plan, artifact.card)
    check_bindings(plan, signature)
    return plan


def check_covers(plan: Plan, card: Card) -> None:
    """Refuse an engine that does not take every batch and size that its Card promises.

    Raises:
        InvalidInput: no profile has both ends of a dimension.
    """
    wanted = profile_of(card.input)
    least, most = wanted.least, wanted.most
    for profile in plan.profiles:
        if len(profile.least) == len(profile.most) == len(least) and all(
            low <= wanted_low and wanted_high <= high
            for low, wanted_low, wanted_high, high in zip(
                profile.least, least, most, profile.most, strict=True
            )
        ):
            return
    have = "; ".join(f"{list(profile.least)} to {list(profile.most)}" for profile in plan.profiles)
    raise InvalidInput(
        f"the engine takes images {have}, and the Card promises {list(least)} to {list(most)} (batch, "
        "height, width, channels); build the engine again"
    )


def check_bindings(plan: Plan, signature: Signature) -> None:
    """Refuse an engine that is called otherwise than its graph.

    Raises:
        InvalidInput: an input or output differs in name, type or shape, or the record does not name it.
    """
    wanted = {binding.name: binding for binding in bindings_of(signature)}
    found = {binding.name: binding for binding in plan.bindings}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise InvalidInput(
                f"the engine has {_told(name, found.get(name))}, its graph "
                f"{_told(name, wanted.get(name))}; build the engine again"
            )


def bindings_of(signature: Signature) -> tuple[Binding, ...]:
    """What an engine of a graph takes and gives; the batch is in front."""
    return tuple(
        Binding(
            direction="input" if tensor in signature.inputs else "output",
            name=tensor.name,
            data_type=tensor.data_type.removeprefix("TYPE_"),
            shape=(-1, *tensor.dims),
        )
        for tensor in (*signature.inputs, *signature.outputs)
    )


def _told(name: str, binding: Binding | None) -> str:
    if binding is None:
        return f"no {name}"
    return f"the {binding.direction} {name} {binding.data_type} {list(binding.shape)}"
