"""Write the dashboards of the stack: `python docker/grafana/generator` after a change here.

Grafana takes up what was written by itself. docs/monitoring.md says what to look at.
"""

import json
import sys
from pathlib import Path

from colour_board import COLOURS
from gateway_board import GATEWAY
from machine_board import MACHINE
from model_board import MODELS

FOLDER = Path(__file__).parents[1] / "dashboards"


def main(folder: Path = FOLDER) -> None:
    for board in (MODELS, GATEWAY, COLOURS, MACHINE):
        text = json.dumps(board.to_json(), indent=1, ensure_ascii=False) + "\n"
        (folder / f"{board.name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
