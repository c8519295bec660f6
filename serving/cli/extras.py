"""Which extra of the package brings a module that a verb found missing."""

EXTRAS = {
    "fsspec": "ray",
    "matplotlib": "bench",
    "nncf": "int8",
    "onnx": "cpu",
    "onnx_ir": "export",
    "onnxruntime": "cpu",
    "onnxscript": "export",
    "openvino": "openvino",
    "pyarrow": "ray",
    "ray": "ray",
    "safetensors": "export",
    "tomli": "train",
    "torch": "export",
}
OF_VERB = {
    "export": "export",
    "import": "export",
    "repo": "server",
    "serve": "server",
    "train": "train",
}  # those with an extra of their own, which brings what most of them want


def missing(module: str, verb: str) -> str | None:
    """What to install for a verb that stopped at a missing module; None where no extra brings it."""
    if module not in EXTRAS:
        return None
    extra = EXTRAS[module] if module == "onnxruntime" else OF_VERB.get(verb, EXTRAS[module])
    alternative = " (or 'regard[gpu]' where there is a GPU)" if extra == "cpu" else ""
    return (
        f"`regard {verb}` needs {module}, which is not installed: pip install 'regard[{extra}]'{alternative}"
    )
