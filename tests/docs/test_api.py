"""The page of the Python API names what there is, and all that `regard` offers."""

import re
from importlib import import_module

import pytest
from tests.docs.blocks import ROOT

import regard

NAMED = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("name", NAMED)
def test_what_it_names_is_there_and_says_what_it_is(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert getattr(import_module(module), attribute).__doc__


def test_everything_that_regard_offers_is_named() -> None:
    assert {f"regard.{name}" for name in regard.__all__} - set(NAMED) == {"regard.__version__"}
