"""Whether two versions compute the same network, and how far their answers then agree at least.

A certificate names the weights it starts from and the graph that it proves; a judgement of a variant names
the float32 graph and the variant's. Versions that have one of these in common are of the same weights: what
their proofs promise of each holds between them too. Of other weights, a network that was trained anew,
nothing was proven: that it answers otherwise is what it was trained for, and its user alone can say how far.
"""

from dataclasses import dataclass
from pathlib import Path

from regard.contract.card import Card
from regard.contract.names import CARD_FILE
from regard.contract.reading import card_from_file
from regard.contract.variant import Variant, variant_in


@dataclass(frozen=True)
class Proof:
    """What the proof of a version says of other graphs of its network.

    Attributes:
        lineage: SHA-256 of the weights and graphs that it names.
        agreement: the least fraction of equal answers that passed it; 0 of a version without a proof.
    """

    lineage: frozenset[str]
    agreement: float


def proof_in(version: Path) -> Proof:
    """That of a version's folder in a repository.

    Raises:
        InvalidInput: its Card or variant.json cannot be read.
    """
    return proof_of(card_from_file(version / CARD_FILE), variant_in(version))


def proof_of(card: Card, variant: Variant | None) -> Proof:
    """That of a Card, and of the variant where it is one's."""
    digests = [
        digest
        for certificate in card.certificates
        for digest in (certificate.reference_sha256, certificate.candidate_sha256)
    ]
    bounds = [certificate.min_agreement for certificate in card.certificates]
    judgement = None if variant is None else variant.judgement
    if judgement is not None:
        digests += [judgement.reference_sha256, judgement.variant_sha256]
        bounds.append(judgement.min_agreement)
    return Proof(frozenset(filter(None, digests)), min(bounds, default=0.0))


def agreement_promised(old: Proof, new: Proof) -> float | None:
    """The least agreement of two versions by their proofs; None where they are of other weights."""
    return min(old.agreement, new.agreement) if old.lineage & new.lineage else None
