"""The Triton model repository: adding models to it, removing and listing them."""

from regard.serving.repository.store import (
    Added,
    Entry,
    add,
    check_repository,
    check_servable,
    listing,
    remove,
)

__all__ = ["Added", "Entry", "add", "check_repository", "check_servable", "listing", "remove"]
