"""Claims about the made pairs that rte's teacher learns from first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import DOES_NOT_FOLLOW, FOLLOWS, MAX_EXCHANGED, made_pairs

SENTENCES = [" ".join(["the", *(f"w{place}x{number}" for number in range(20)), "of"]) for place in range(600)]


def words(text: str) -> set[str]:
    return set(text.lower().rstrip(".").split())


@given(st.integers(0, 2**32 - 1))
def test_what_follows_tells_nothing_new_and_what_does_not_tells_a_little(seed: int) -> None:
    pairs = made_pairs(SENTENCES, num_pairs=50, seed=seed)
    assert len(pairs) == pairs["text"].nunique() == 50
    assert set(pairs["text"]) <= set(SENTENCES)
    for row in pairs.itertuples():
        new = words(row.text_pair) - words(row.text)
        assert not new if row.label == FOLLOWS else len(new) <= MAX_EXCHANGED
    others = pairs[pairs["label"] == DOES_NOT_FOLLOW]
    told = [bool(words(row.text_pair) - words(row.text)) for row in others.itertuples()]
    assert 0 < len(told) < 50
    assert sum(told) >= len(told) - 2


def test_too_few_sentences_are_an_error() -> None:
    with pytest.raises(ValueError, match="larger sample"):
        made_pairs(["too short", *SENTENCES], num_pairs=601, seed=0)
