"""The Triton model repository: adding models to it, removing, listing and renewing them."""

from regard.serving.repository.add import Added, Endpoints, add
from regard.serving.repository.checks import check_model, check_repository, check_servable
from regard.serving.repository.listing import Entry, entries, listing
from regard.serving.repository.remove import remove
from regard.serving.repository.renew import renew

__all__ = [
    "Added",
    "Endpoints",
    "Entry",
    "add",
    "check_model",
    "check_repository",
    "check_servable",
    "entries",
    "listing",
    "remove",
    "renew",
]
