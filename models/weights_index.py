"""The trained weights that come with regard: `weights/<name>.safetensors`, each with its Card
`weights/<name>.json`; of some the graph in int8 as well, `weights/int8/<name>.onnx`, each with the record of
its judgement `weights/int8/<name>.json` (docs/int8.md).
"""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"


def shipped() -> dict[str, Path]:
    """The Card's file of every trained network that comes with regard, by name; its weights lie beside it as
    .safetensors.
    """
    return {
        path.stem: path
        for path in sorted(WEIGHTS.glob("*.json"))
        if path.with_suffix(".safetensors").is_file()
    }


def shipped_int8() -> dict[str, Path]:
    """The int8 graphs that come with regard, by the name of their weights."""
    return {path.stem: path for path in sorted((WEIGHTS / "int8").glob("*.onnx"))}
