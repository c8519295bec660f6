"""Unknown names: the nearest five, and the others where a reader can take them in."""

import regard
from regard import errors
from regard.errors import FEW, RegardError, UnknownName

MANY = [f"network{number}" for number in range(FEW + 1)]


def test_every_error_is_offered_by_the_package() -> None:
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, RegardError)
    }
    assert kinds
    assert {name: getattr(regard, name) for name in kinds} == kinds
    assert kinds.keys() <= set(regard.__all__)


def test_few_names_are_all_listed() -> None:
    error = UnknownName.among("task", "segmentatoin", ["segmentation", "classification"])
    assert str(error) == (
        "no task named 'segmentatoin'. Did you mean 'segmentation'? Known: classification, segmentation."
    )
    assert str(UnknownName.among("model", "x", [])) == "no model named 'x'. Known: none."


def test_of_many_the_nearest_five() -> None:
    message = str(UnknownName.among("network", "netwrok1", MANY, listed_by="the catalog"))
    assert message.startswith("no network named 'netwrok1'. Did you mean 'network1', 'network12', ")
    assert message.count("'network") == 5
    assert message.endswith(f" or 'network9'? the catalog lists all {len(MANY)}.")
    assert str(UnknownName.among("network", "zzz", MANY)) == f"no network named 'zzz'. There are {len(MANY)}."
