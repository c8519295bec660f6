"""The record of a variant, another graph or engine of an artifact's network: `variant.json`, beside its files
in the artifact, and in the version of a model repository that serves it.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from regard.contract.card import Card
from regard.contract.certificate import Certificate
from regard.contract.judgement import Judgement
from regard.contract.record import Record, Sha256
from regard.errors import InvalidInput

VARIANT_FILE = "variant.json"
NAME_PATTERN = r"[a-z0-9][a-z0-9_.-]{0,63}"
Runtime = Literal["onnxruntime", "openvino"]  # by the name of its Triton backend
Precision = Literal["float32", "fp16", "bf16", "int8"]


class Variant(Record):
    """A proven variant: by certificates where its numbers are the network's, by a judgement where another
    precision moves them.

    name: of its folder. runtime: what runs it. precision: what it computes in. file: the graph or engine in
    the folder; None for the artifact's own graph. operators: those of its graph that are not ONNX's, which
    ONNX Runtime alone runs, by their bodies or by the library beside it. operators_sha256: of that library,
    where there is one. float32_blocks: of a graph in mixed precision, what is left in float32: blocks that
    are not quantized, or nodes that are not in fp16.
    """

    name: str = Field(pattern=f"^{NAME_PATTERN}$")
    runtime: Runtime = "onnxruntime"
    precision: Precision = "float32"
    file: str | None
    operators: tuple[str, ...] = ()
    operators_sha256: Sha256 | None = None
    float32_blocks: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    judgement: Judgement | None = None

    @property
    def accuracy_only(self) -> bool:
        """Whether nothing is known of its speed: fp16 is for GPUs, and was judged where none was."""
        return self.precision == "fp16" and (self.judgement is None or self.judgement.speed is None)

    @property
    def proven(self) -> bool:
        """Whether it has a proof, and all of it passed."""
        passed = [found.passed for found in self.certificates]
        if self.judgement is not None:
            passed.append(self.judgement.passed)
        return bool(passed) and all(passed)

    @property
    def proven_files(self) -> tuple[str | None, ...]:
        """SHA-256 of the graph, as each part of its proof has it."""
        judged = () if self.judgement is None else (self.judgement.variant_sha256,)
        return *(found.candidate_sha256 for found in self.certificates), *judged

    def card_of(self, card: Card) -> Card:
        """The artifact's Card, with the variant's own certificates in place of the artifact's."""
        return card.updated(certificates=[found.model_dump() for found in self.certificates])


def variant_in(folder: Path) -> Variant | None:
    """The variant that a folder holds; None where it holds something else.

    Raises:
        InvalidInput: its record cannot be read.
    """
    path = folder / VARIANT_FILE
    try:
        return Variant.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}; make the variant again") from None
    except ValidationError as error:
        raise InvalidInput(
            f"{path} is damaged ({error.errors()[0]['msg']}); make the variant again"
        ) from None
