"""Stories of which a question needs two facts, from a grammar of our own: generated, and not bAbI.

    Mary went to the kitchen. John took the football. Sandra moved to the garden. John went to the office.
    Where is the football?                                                                      office

Four people walk between six places and pick up three things, each once. The question is where a thing is that
somebody holds: one sentence says who holds it, another, said later or earlier, where that person is. A story
is held out where the first byte of the SHA-256 of its text is below 51, so one in five.
"""

import random
from dataclasses import dataclass

from regard.contract.answers.classes import Classes
from regard.contract.tokens_input import PADDING, TokensInput
from regard.models.training.families.held_out import held_out

SOURCE = "generated: two-fact stories by regard.models.training.families.stories; not bAbI"
PEOPLE = ("mary", "john", "sandra", "daniel")
PLACES = ("kitchen", "garden", "office", "hallway", "bedroom", "bathroom")
THINGS = ("football", "apple", "milk")
GOING = ("went", "moved", "walked")
TAKING = ("took", "got", "grabbed")
SENTENCES = 12  # of a story, at most


@dataclass(frozen=True)
class Story:
    """A story, a question about it and the answer, which is a place."""

    text: str
    question: str
    answer: str

    @property
    def held_out(self) -> bool:
        return held_out(self.text.encode())


def told(draw: random.Random) -> Story:
    """A story drawn at random."""
    while True:
        sentences: list[str] = []
        where: dict[str, str] = {}
        holder: dict[str, str] = {}
        for _ in range(draw.randint(4, SENTENCES)):
            person = draw.choice(PEOPLE)
            lying = [thing for thing in THINGS if thing not in holder]
            if lying and draw.random() < 0.3:
                thing = draw.choice(lying)
                holder[thing] = person
                sentences.append(f"{person.title()} {draw.choice(TAKING)} the {thing}.")
            else:
                where[person] = draw.choice([place for place in PLACES if place != where.get(person)])
                sentences.append(f"{person.title()} {draw.choice(GOING)} to the {where[person]}.")
        known = [thing for thing, person in holder.items() if person in where]
        if known:
            thing = draw.choice(known)
            return Story(" ".join(sentences), f"Where is the {thing}?", where[holder[thing]])


def stories(count: int, seed: int, *, held_out: bool) -> list[Story]:
    """So many stories of one side of the split."""
    draw = random.Random(seed)  # noqa: S311  no secret
    found: list[Story] = []
    while len(found) < count:
        story = told(draw)
        if story.held_out == held_out:
            found.append(story)
    return found


def inputs() -> tuple[TokensInput, TokensInput]:
    """The story and the question. Answers are the vocabulary's first words, as MemN2N wants; a word that is
    in no story is refused.
    """
    vocabulary = (PADDING, *PLACES, *PEOPLE, *THINGS, *GOING, *TAKING, "to", "the", "where", "is")
    story, question = (
        TokensInput(name=name, vocabulary=vocabulary, unknown=None, longest=8, sentences=sentences)
        for name, sentences in (("story", SENTENCES), ("question", None))
    )
    return story, question


def answer() -> Classes:
    return Classes(labels=PLACES)
