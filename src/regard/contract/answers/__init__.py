"""What a network answers, one kind in a file: the tensor, what the served graph appends to the scores, when
two answers agree, and the result that a client gives.
"""

from typing import Annotated

from pydantic import Field

from regard.contract.answers.classes import Classes
from regard.contract.answers.label_map import LabelMap
from regard.contract.names import Task

__all__ = ["KINDS", "Answer", "Classes", "LabelMap"]

KINDS: dict[Task, type[Classes] | type[LabelMap]] = {kind.task: kind for kind in (Classes, LabelMap)}
Answer = Annotated[Classes | LabelMap, Field(discriminator="kind")]
