"""Train one of the networks that look again.

    python -m regard.models.training.families.glimpses ram --data ROOT --out FOLDER

ROOT holds digits/0.json to digits/9.json (docs/data.md). FOLDER gets the weights and their Card, with the
metrics of the baselines that are trained beside it. It takes minutes on one core.
"""

import argparse
from pathlib import Path

from regard.models.training.families.digits import load_digits
from regard.models.training.families.glimpses.dasnet import DasNetOnClutter
from regard.models.training.families.glimpses.dram import DRAMOnPairs
from regard.models.training.families.glimpses.draw import DRAWClassifierOnDigits, DRAWOnDigits
from regard.models.training.families.glimpses.ram import RAMOnDigits
from regard.models.training.families.glimpses.training import Training

TRAININGS: dict[str, type[Training]] = {
    each.builder: each
    for each in (RAMOnDigits, DRAMOnPairs, DRAWClassifierOnDigits, DRAWOnDigits, DasNetOnClutter)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("network", choices=TRAININGS)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds digits/")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and Card")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    card = TRAININGS[given.network](*load_digits(given.data), given.seed).run(given.out)
    print(", ".join(f"{name} {value:.4f}" for name, value in card.origin.metrics.items()))


if __name__ == "__main__":
    main()
