"""The curve of attention's memory -> docs/images/attention-memory.png, drawn from what
attention_formulations.py measured.
"""

import json
from pathlib import Path

from harness import RESULTS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "attention-memory.png"
MIB = 2**20


def main() -> None:
    figures = json.loads((RESULTS / "attention_formulations.json").read_text(encoding="utf-8"))["figures"]
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for found in figures:
        if "bytes" in found["details"]:
            name, positions = found["name"].partition(":")[0], found["details"]["positions"]
            label = f"{name}: positions^{found['measured']:.2f}"
            axes.loglog(
                positions, [size / MIB for size in found["details"]["bytes"]], marker="o", label=label
            )
    axes.set(xlabel="positions of the map (64 channels)", ylabel="extra memory of a pass in MiB")
    axes.set_xticks(positions, [f"{side}²" for side in (round(n**0.5) for n in positions)])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
