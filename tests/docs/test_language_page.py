"""The figures of docs/language.md are those of the Cards."""

import pytest
from tests.docs.blocks import ROOT

from regard.contract.reading import card_from_file
from regard.models.weights_index import shipped

PAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["rnnsearch_dates", "transformer_dates", "memn2n_stories"])
def test_every_metric_is_stated(name: str) -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    for metric, value in card_from_file(shipped()[name]).origin.metrics.items():
        assert f"{value:.2%}" in row, metric
