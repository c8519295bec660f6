"""The trained weights that come with regard: `weights/<name>.safetensors`, each with its Card
`weights/<name>.json`.
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
