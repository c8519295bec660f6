"""Our onnxruntime backend refuses what the C++ one refuses, and answers batches, subsets of outputs and
failures as it does.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc import InferRequestedOutput
from tritonclient.utils import InferenceServerException

from regard.errors import ServerError

CONFIG = """
name: "two" backend: "onnxruntime" max_batch_size: {batch}
input [{{ name: "x" data_type: {kind} dims: [{dims}] }}]
output [{{ name: "double" data_type: TYPE_FP32 dims: [{dims}] }},
        {{ name: "{second}" data_type: TYPE_FP32 dims: [3] }}]
instance_group [{{ count: {count} kind: KIND_CPU }}]
dynamic_batching {{ max_queue_delay_microseconds: 100000 }}
{more}
"""
GOOD = {"batch": 8, "kind": "TYPE_FP32", "dims": "-1", "second": "product", "count": 1, "more": ""}


def two_outputs(folder: Path, file: str = "model.onnx", **changes: Any) -> Path:
    """x (batch, n) -> double = 2 x, product = x @ ones(3, 3), which fails at run time unless n is 3."""
    ones = helper.make_tensor("ones", TensorProto.FLOAT, [3, 3], [1.0] * 9)
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    shape = ["batch", "n"]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "two"], ["double"]),
            helper.make_node("MatMul", ["x", "ones"], ["product"]),
        ],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("double", "product")],
        [ones, two],
    )
    (folder / "two" / "1").mkdir(parents=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9),
        folder / "two" / "1" / file,
    )
    (folder / "two" / "config.pbtxt").write_text(CONFIG.format(**(GOOD | changes)))
    return folder


@pytest.fixture(scope="module")
def infer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import tritonclient.grpc as triton

    from regard.serving.triton.ports import free_ports
    from regard.serving.triton.server import EmbeddedTriton

    repository = two_outputs(
        tmp_path_factory.mktemp("backend") / "repository",
        file="other.onnx",
        more='default_model_filename: "other.onnx" cc_model_filenames [{ key: "9.0" value: "hopper.onnx" }]',
    )
    http, grpc, metrics = free_ports(3)
    with (
        EmbeddedTriton(repository, http_port=http, grpc_port=grpc, metrics_port=metrics) as server,
        triton.InferenceServerClient(server.grpc_url) as client,
    ):

        def send(x: Any, *outputs: str) -> Any:
            tensor = triton.InferInput("x", list(x.shape), "FP32")
            tensor.set_data_from_numpy(x)
            return client.infer(
                "two",
                [tensor],
                outputs=[InferRequestedOutput(name) for name in outputs] or None,
                client_timeout=60,
            )

        yield send


def test_only_the_outputs_asked_for(infer: Any) -> None:
    x = np.ones((2, 3), np.float32)
    result = infer(x, "product")
    np.testing.assert_array_equal(result.as_numpy("product"), x @ np.ones((3, 3)))
    assert [output.name for output in result.get_response().outputs] == ["product"]
    assert {output.name for output in infer(x).get_response().outputs} == {"double", "product"}


def test_batched_requests_that_ask_for_different_outputs(infer: Any) -> None:
    arrays = [np.full((1 + index % 2, 3), index, np.float32) for index in range(12)]
    names = ["double", "product"]
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda index: infer(arrays[index], names[index % 2]), range(12)))
    for index, result in enumerate(results):
        expected = arrays[index] * (2 if index % 2 == 0 else 3)
        np.testing.assert_array_equal(result.as_numpy(names[index % 2]), expected)
        assert result.as_numpy(names[1 - index % 2]) is None


def test_a_failed_run_is_internal_in_the_cpp_backends_words_and_harms_no_other(infer: Any) -> None:
    with pytest.raises(InferenceServerException, match="onnx runtime error") as caught:
        infer(np.ones((1, 4), np.float32), "product")
    assert caught.value.status() == "StatusCode.INTERNAL"
    np.testing.assert_array_equal(
        infer(np.ones((1, 3), np.float32), "double").as_numpy("double"), [[2, 2, 2]]
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"second": "sum"}, "unexpected inference output 'sum', allowed outputs are: double, product"),
        ({"kind": "TYPE_FP64"}, "configuration says TYPE_FP64, model provides TYPE_FP32"),
        ({"dims": "-1, -1"}, "the model expects shape"),
        ({"batch": 0}, "the model expects shape"),
        ({"more": 'default_model_filename: "absent.onnx"'}, "unable to find"),
        (
            {"more": 'parameters { key: "intra_op_thread_count" value { string_value: "many" } }'},
            "number of threads",
        ),
    ],
    ids=["output name", "data type", "rank", "batch dimension", "file", "threads"],
)
def test_a_configuration_that_contradicts_the_graph_is_refused(
    tmp_path: Path, embedded: Any, changes: dict[str, Any], words: str
) -> None:
    server = embedded(two_outputs(tmp_path / "repository", **changes))
    with pytest.raises(ServerError, match="model 'two'") as caught:
        server.start()
    assert words in str(caught.value)
