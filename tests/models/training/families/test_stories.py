"""Generated stories: each is solved by reading it, and takes two facts."""

import re

import pytest

from regard.models.training.families.stories import PLACES, answer, inputs, stories


def solved(text, question):
    """Where the asked thing is, by keeping track of who is where and holds what."""
    thing = re.fullmatch(r"Where is the (\w+)\?", question).group(1)
    where, holder = {}, {}
    for person, verb, thing_or_place in re.findall(r"(\w+) (\w+ (?:to )?)the (\w+)\.", text):
        if verb.endswith("to "):
            where[person] = thing_or_place
        else:
            holder[thing_or_place] = person
    return where[holder[thing]]


@pytest.fixture(scope="module")
def told():
    return stories(500, 0, held_out=False)


def test_the_answer_follows_from_the_story(told):
    assert all(solved(story.text, story.question) == story.answer for story in told)


def test_no_sentence_has_both_facts(told):
    """So that one sentence alone can never answer."""
    for story in told:
        thing = story.question.split()[-1].strip("?")
        about = [sentence for sentence in story.text.split(". ") if thing in sentence]
        assert len(about) == 1
        assert not any(place in about[0] for place in PLACES)


def test_sides_of_the_split_are_apart(told):
    others = stories(200, 0, held_out=True)
    assert not {story.text for story in told} & {story.text for story in others}


def test_all_places_are_asked_for_alike(told):
    counts = [sum(story.answer == place for story in told) for place in PLACES]
    assert min(counts) > 500 / len(PLACES) * 0.7


def test_every_text_can_be_read(told):
    story, question = inputs()
    assert story.tokenizer.batch([each.text for each in told]).shape[1] <= story.sentences
    question.tokenizer.batch([each.question for each in told])


def test_answers_are_the_first_words():
    """As MemN2N has it, whose answers are words of its vocabulary."""
    assert inputs()[0].vocabulary[1 : 1 + len(PLACES)] == answer().labels


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="does not know the word 'banana'"):
        inputs()[0].tokenizer.encode("Mary took the banana.")


def test_the_seed_makes_the_stories():
    assert stories(1, 1, held_out=False) == stories(1, 1, held_out=False) != stories(1, 2, held_out=False)
