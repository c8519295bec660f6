"""What a network carries from one frame of a session to the next."""

from pydantic import Field, model_validator

from regard.contract.names import TENSOR_PATTERN
from regard.contract.record import Finite, Record

NEXT = "next_"  # and a state tensor's name: the graph's output that replaces it


class StateTensor(Record):
    """One tensor of a state, float32.

    The served graph takes it as `name` and gives it back as `next_<name>`. A session begins with zeros whose
    dimensions of -1 are 1; the graph brings them to the image's size.
    """

    name: str = Field(pattern=TENSOR_PATTERN)
    dims: tuple[int, ...] = Field(
        min_length=1, description="behind the batch; -1 for those that follow the image's size"
    )

    @model_validator(mode="after")
    def _check(self) -> "StateTensor":
        if any(dim < 1 and dim != -1 for dim in self.dims):
            raise ValueError(f"dims are positive, or -1 where they follow the image's size; got {self.dims}")
        return self

    @property
    def next(self) -> str:
        """Name of the graph's output that replaces it."""
        return NEXT + self.name

    @property
    def initial_dims(self) -> tuple[int, ...]:
        """Dimensions behind the batch of what a session begins with."""
        return tuple(1 if dim == -1 else dim for dim in self.dims)


class State(Record):
    """A network that remembers: it is asked in sessions, one frame after another."""

    tensors: tuple[StateTensor, ...] = Field(min_length=1)
    idle_seconds: Finite = Field(
        default=60, gt=0, description="after which the server forgets a session that asks nothing"
    )

    @model_validator(mode="after")
    def _check(self) -> "State":
        names = self.names
        for name in names:
            if names.count(name) > 1 or (name.removeprefix(NEXT) in names and name.startswith(NEXT)):
                raise ValueError(f"the state's name {name!r} is taken: give each tensor its own")
        return self

    @property
    def names(self) -> list[str]:
        """Of its tensors."""
        return [tensor.name for tensor in self.tensors]
