"""What every part of a Card is: a frozen record that takes no field it does not know."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Frozen and strict: an unknown field is an error. Where a later regard may have written, reading.py is
    lenient.
    """

    @classmethod
    def kinds(cls) -> set[type["Record"]]:
        """Every record there is."""
        return {kind for child in cls.__subclasses__() for kind in (child, *child.kinds())}

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
