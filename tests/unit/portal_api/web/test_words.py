from __future__ import annotations

import pytest

from portal_api.web import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "unknown"),
        (-4, "0 s"),
        (8.9, "8 s"),
        (59.99, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 00 min"),
        (11_100, "3 h 05 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_read_as_people_say_them(seconds, said):
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.94, "0.94"), (0.9994, "0.99"), (1.0, "1.00"), (0.0, "0.00"), (None, "")]
)
def test_a_probability_is_never_rounded_up_to_certainty(value, said):
    assert words.probability(value) == said


@pytest.mark.parametrize(
    "urgency", ["critical", "high", "routine", "not-analysed", "undetermined", "pending"]
)
def test_every_urgency_has_a_word_of_its_own(urgency):
    assert words.word(urgency)
    assert [other for other in words.PRIORITIES if words.word(other) == words.word(urgency)] == [urgency]


def test_an_unknown_urgency_is_undetermined_never_routine():
    assert words.word("a-class-of-tomorrow") == "Undetermined"


def test_times_say_their_zone():
    assert words.exact(1_795_226_400_000_000) == "2026-11-21 02:00:00 UTC"
    assert words.clock(1_795_226_400_000_000) == "02:00"
    assert words.exact(None) == "unknown"


@pytest.mark.parametrize(("count", "said"), [(0, "0 images"), (1, "1 image"), (2, "2 images")])
def test_counts_agree_with_their_noun(count, said):
    assert words.plural(count, "image") == said


def test_an_unknown_order_says_how_it_is_treated():
    assert words.ordered("unknown") == "unknown, treated as stat"
    assert words.ordered("routine") == "routine"
