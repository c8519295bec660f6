"""What a builder takes: found before it runs."""

from functools import partial
from inspect import signature
from typing import Any

import pytest

from regard.errors import InvalidInput, UnknownName
from regard.models.signatures import keywords, options_of, passes_options_to, type_name, typed


class Base:
    def __init__(self, depth: int, *, width: int = 64, stem: str = "large") -> None:
        self.made = (depth, width, stem)


class Derived(Base):
    @passes_options_to(Base)
    def __init__(self, depth: int, *, num_classes: int = 10, width: int = 32, **options: Any) -> None:
        super().__init__(depth, width=width, **options)
        self.classes = num_classes


def test_options_that_are_passed_on_are_seen() -> None:
    assert str(signature(Derived)) == (
        "(depth: int, *, num_classes: int = 10, width: int = 32, stem: str = 'large') -> None"
    )
    taken = options_of(partial(Derived, 18))
    assert {key: option.default for key, option in taken.items()} == {
        "classes": 10,
        "width": 32,
        "stem": "large",
    }
    assert Derived(18, stem="small").made == (18, 32, "small")


def test_they_are_passed_on_twice() -> None:
    @passes_options_to(partial(Derived, 18))
    def build(*, stem: str = "tiny", **options: Any) -> Derived:
        return Derived(18, stem=stem, **options)

    assert {key: option.default for key, option in options_of(build).items()} == {
        "stem": "tiny",
        "classes": 10,
        "width": 32,
    }


@pytest.mark.parametrize("key", ["classes", "num_classes"])
def test_classes_as_the_builder_spells_them(key: str) -> None:
    def spelled(*, classes: int) -> None: ...

    def anything(**options: object) -> None: ...

    assert keywords("x", partial(Derived, 18), {key: 3, "width": 8}) == {"num_classes": 3, "width": 8}
    assert keywords("x", spelled, {key: 3}) == {"classes": 3}
    assert keywords("x", anything, {key: 3}) == {key: 3}


def test_what_it_does_not_take_or_lacks() -> None:
    with pytest.raises(
        UnknownName,
        match=r"^no option of x named 'widht'\. Did you mean 'width'\? Known: classes, stem, width\.$",
    ):
        keywords("x", partial(Derived, 18), {"widht": 8})
    with pytest.raises(UnknownName, match="no option of x named 'depth'"):
        keywords("x", partial(Derived, 18), {"depth": 8})
    with pytest.raises(InvalidInput, match="^x needs depth, as in depth=VALUE$"):
        keywords("x", Derived, {"width": 8})
    with pytest.raises(InvalidInput, match="two names of one option"):
        keywords("x", Derived, {"depth": 18, "classes": 1, "num_classes": 1})


def test_values_are_of_the_annotations_type() -> None:
    def build(
        *, num_classes: int = 1, counts: tuple[int, int] = (1, 2), rate: float = 0.5, label: str | None = None
    ) -> None: ...

    given = {"num_classes": 16.0, "counts": [3, 4], "rate": 1, "label": None}
    assert typed(build, given) == {"num_classes": 16, "counts": (3, 4), "rate": 1.0, "label": None}
    for key, value, message in (
        ("num_classes", "ten", "classes must be int, got 'ten'"),
        ("counts", [3], r"counts must be tuple\[int, int\], got \[3\]"),
        ("label", 3, r"label must be str \| None, got 3"),
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            typed(build, {key: value})


def test_types_are_named_without_their_modules() -> None:
    def build(*, base: Base | None = None) -> None: ...

    assert type_name(options_of(build)["base"]) == "Base | None"
