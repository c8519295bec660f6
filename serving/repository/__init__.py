"""The Triton model repository: adding models to it, removing and listing them."""

from regard.serving.repository.add import Added, add
from regard.serving.repository.checks import check_repository, check_servable
from regard.serving.repository.listing import Entry, listing
from regard.serving.repository.remove import remove

__all__ = ["Added", "Entry", "add", "check_repository", "check_servable", "listing", "remove"]
