"""Which models a model calls, and in what order they can be loaded."""

from collections.abc import Iterator, Mapping

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.serving.repository.runtime import IMAGE_BACKEND

CALLED = "model"  # its parameter that names the endpoint for tensors


def needed_by(config: ModelConfig) -> frozenset[str]:
    """The steps of an ensemble; the endpoint for tensors of one for images."""
    needed = {step.model_name for step in config.ensemble_scheduling.step}
    if config.backend == IMAGE_BACKEND and CALLED in config.parameters:
        needed.add(config.parameters[CALLED].string_value)
    return frozenset(needed - {""})  # what names nothing is refused by who reads it


def in_order(needs: Mapping[str, frozenset[str]]) -> Iterator[list[str]]:
    """The names in groups, each after all that its members need; those that need each other come last,
    together.
    """
    left = dict(needs)
    while left:
        free = [name for name, needed in left.items() if not needed & left.keys()] or list(left)
        yield free
        for name in free:
            del left[name]
