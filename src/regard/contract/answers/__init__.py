"""What a network answers, one kind in a file: the tensors, what the served graph appends to what the network
returns, when two answers agree, and the result that a client gives.
"""

from typing import Annotated

from pydantic import Field

from regard.contract.answers.classes import Classes
from regard.contract.answers.image import ImageAnswer
from regard.contract.answers.label_map import LabelMap
from regard.contract.answers.points import Points
from regard.contract.answers.sequence import Sequence
from regard.contract.names import Task

__all__ = ["KINDS", "Answer", "Classes", "ImageAnswer", "LabelMap", "Points", "Sequence"]

# answers that labels alone describe, by task
KINDS: dict[Task, type[Classes] | type[LabelMap]] = {kind.task: kind for kind in (Classes, LabelMap)}
Answer = Annotated[Classes | LabelMap | Sequence | Points | ImageAnswer, Field(discriminator="kind")]
