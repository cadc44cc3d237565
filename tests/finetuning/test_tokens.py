"""Claims about tau for text."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimum_ose.finetuning.tokens import TokenNeighbors, interpolate, replace_tokens

seeds = st.integers(0, 2**32 - 1)
any_seed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


@pytest.fixture(scope="session")
def neighbors(labeler, tokenizer):
    embeddings = labeler.get_input_embeddings().weight.detach().numpy()
    return TokenNeighbors(embeddings, tokenizer, num_neighbors=5)


def is_piece(tokenizer, token):
    return tokenizer.convert_ids_to_tokens(token).startswith("##")


def test_special_tokens_are_never_replaced_and_never_proposed(neighbors, tokenizer):
    special = set(tokenizer.all_special_ids)
    assert not any(neighbors.of(token) for token in special)
    assert not any(special & set(neighbors.of(token)) for token in range(len(tokenizer)))


def test_words_pieces_and_numbers_are_replaced_by_their_like_only(neighbors, tokenizer):
    names = tokenizer.get_vocab()
    assert {tokenizer.convert_ids_to_tokens(token) for token in neighbors.of(names["7"])} == {"8", "9"}
    assert {tokenizer.convert_ids_to_tokens(token) for token in neighbors.of(names["##s"])} == {"##let", "##y"}
    assert not any(is_piece(tokenizer, token) for token in neighbors.of(names["cat"]))


def test_punctuation_and_unused_entries_stay(neighbors, tokenizer):
    names = tokenizer.get_vocab()
    assert neighbors.of(names["?"]) == neighbors.of(names["[unused0]"]) == ()


def test_neighbors_come_in_the_order_of_their_cosine(neighbors, labeler, tokenizer):
    embeddings = labeler.get_input_embeddings().weight.detach().numpy()
    cat = tokenizer.get_vocab()["cat"]
    found = [embeddings[token] @ embeddings[cat] / np.linalg.norm(embeddings[token]) for token in neighbors.of(cat)]
    assert len(found) == 5
    assert found == sorted(found, reverse=True)


def test_embedding_rows_beyond_the_tokenizer_are_no_neighbors(tokenizer):
    embeddings = np.ones((len(tokenizer) + 7, 4), dtype=np.float32)
    padded = TokenNeighbors(embeddings, tokenizer, num_neighbors=1000)
    assert max(max(padded.of(token), default=0) for token in range(len(tokenizer) + 7)) < len(tokenizer)


@given(seeds, st.floats(0.01, 1))
@any_seed
def test_a_replacement_changes_words_only(neighbors, tokenizer, seed, probability):
    row = dict(tokenizer("the cat 7 ?", "one old saw", padding="max_length", max_length=14))
    new = replace_tokens(row, neighbors=neighbors, probability=probability, generator=np.random.default_rng(seed))
    changed = [
        position
        for position, pair in enumerate(zip(row["input_ids"], new["input_ids"], strict=True))
        if len(set(pair)) > 1
    ]
    assert changed
    assert all(new["input_ids"][position] in neighbors.of(row["input_ids"][position]) for position in changed)
    assert {**new, "input_ids": None} == {**row, "input_ids": None}


def test_every_word_is_replaced_at_probability_one(neighbors, tokenizer):
    row = tokenizer("the cat saw")
    new = replace_tokens(row, neighbors=neighbors, probability=1.0, generator=np.random.default_rng(0))
    assert all(one != two for one, two in zip(row["input_ids"][1:-1], new["input_ids"][1:-1], strict=True))


@given(seeds, st.floats(0.01, 1))
@any_seed
def test_what_the_texts_of_a_pair_share_they_go_on_sharing(neighbors, tokenizer, seed, probability):
    row = dict(tokenizer("the cat saw one old cat", "old cat saw that cat ?"))
    new = replace_tokens(row, neighbors=neighbors, probability=probability, generator=np.random.default_rng(seed))
    _, _, cat, saw, _, old, _, _, old_too, cat_too, saw_too, _, cat_after, mark, _ = new["input_ids"]
    assert (old_too, cat_too, saw_too, cat_after) == (old, cat, saw, cat)
    assert mark == row["input_ids"][-2]
    assert new["input_ids"] != row["input_ids"]


def test_a_word_that_a_text_repeats_is_replaced_each_time_anew(neighbors, tokenizer):
    row = tokenizer(" ".join(["cat"] * 40))
    new = replace_tokens(row, neighbors=neighbors, probability=1.0, generator=np.random.default_rng(0))
    assert len(set(new["input_ids"][1:-1])) > 1


def test_a_row_without_words_comes_back_as_it_is(neighbors, tokenizer):
    row = tokenizer("? ?")
    new = replace_tokens(row, neighbors=neighbors, probability=1.0, generator=np.random.default_rng(0))
    assert new == dict(row)


@given(seeds)
@any_seed
def test_an_interpolation_takes_each_token_from_one_of_the_two_rows(tokenizer, seed):
    row, other = tokenizer("the old cat saw", "one big cup"), tokenizer("some fox", "that red hen pan key")
    new = interpolate(row, other, special_ids=tokenizer.all_special_ids, generator=np.random.default_rng(seed))
    texts = [ids.index(tokenizer.sep_token_id) for ids in (row["input_ids"], other["input_ids"])]
    donors = [other["input_ids"][1 : texts[1]], other["input_ids"][texts[1] + 1 : -1]]
    for position, (old, now) in enumerate(zip(row["input_ids"], new["input_ids"], strict=True)):
        assert now == old or now in donors[position > texts[0]]
    assert new["input_ids"] != row["input_ids"]
    assert [token in tokenizer.all_special_ids for token in new["input_ids"]] == [
        token in tokenizer.all_special_ids for token in row["input_ids"]
    ]
    assert new["token_type_ids"] == row["token_type_ids"]


def test_interpolation_with_a_row_without_text_changes_nothing(tokenizer):
    row, empty = tokenizer("the old cat"), tokenizer("")
    new = interpolate(row, empty, special_ids=tokenizer.all_special_ids, generator=np.random.default_rng(0))
    assert new["input_ids"] == row["input_ids"]


def test_labels_of_tokens_follow_them_into_the_other_row(tokenizer):
    row, other = tokenizer("the old cat saw"), tokenizer("some fox that pen")
    mine, theirs = (
        {**features, "labels": [offset + token for token in features["input_ids"]]}
        for features, offset in ((row, 100), (other, 100))
    )
    for seed in range(20):
        new = interpolate(mine, theirs, special_ids=tokenizer.all_special_ids, generator=np.random.default_rng(seed))
        assert new["input_ids"] != row["input_ids"]
        assert new["labels"] == [100 + token for token in new["input_ids"]]
