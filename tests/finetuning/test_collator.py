"""Claims about padding and mixing."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import DataCollatorWithPadding

from optimum_ose.configuration import AgoraConfig
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.finetuning.collator import AgoraDataCollator
from optimum_ose.finetuning.pool import PoolRow, row_key


@pytest.fixture
def collator(tokenizer, train):
    """A collator in the middle of training, with as many rows in the pool as in the training set."""

    def make(pool_size=24, **options):
        made = AgoraDataCollator(tokenizer, **options)
        made.pool.train_keys = frozenset(row_key(row) for row in train)
        made.pool.num_train_rows = len(train)
        made.pool.num_labels = 2
        made.pool.is_open = True
        made.pool.refill(
            (
                PoolRow(
                    features=dict(tokenizer(f"[MASK] {'the ' * index}")), label=1, soft_label=(0.25, 0.75), origin=0
                )
                for index in range(pool_size)
            ),
            round_number=1,
        )
        return made

    return make


def num_added(batch, tokenizer):
    return int((batch["input_ids"] == tokenizer.mask_token_id).any(dim=1).sum())


def test_without_a_pool_a_batch_is_padded_as_transformers_pads_it(tokenizer, train):
    rows = [train[index] for index in range(5)]
    ours, theirs = AgoraDataCollator(tokenizer)(rows), DataCollatorWithPadding(tokenizer)(rows)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_padding_reaches_the_multiple_asked_for(tokenizer, train):
    batch = AgoraDataCollator(tokenizer, pad_to_multiple_of=16)([train[0], train[1]])
    assert batch["input_ids"].shape == (2, 16)


def test_own_rows_come_first_and_pool_rows_carry_their_labels(collator, tokenizer, train):
    rows = [train[index] for index in range(8)]
    batch = collator()(rows)
    assert batch["labels"].tolist() == train["labels"][:8] + [1] * (len(batch["labels"]) - 8)
    for row, ids in zip(rows, batch["input_ids"], strict=False):
        assert ids[: len(row["input_ids"])].tolist() == row["input_ids"]
    assert num_added(batch, tokenizer) == len(batch["labels"]) - 8 > 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 23), min_size=1, max_size=16), st.floats(0.05, 1), st.integers(0, 40))
def test_no_batch_holds_more_pool_rows_than_its_share(collator, tokenizer, train, indices, share, pool_size):
    batch = collator(pool_size, config=AgoraConfig(pool_share=share))([train[index] for index in indices])
    assert num_added(batch, tokenizer) <= min(share * len(indices), pool_size)


def test_each_pool_row_is_seen_about_once_an_epoch(collator, tokenizer, train):
    mixed = collator(pool_size=6)
    generator = np.random.default_rng(0)
    added = [
        num_added(mixed([train[int(index)] for index in batch]), tokenizer)
        for _ in range(60)
        for batch in generator.permutation(24).reshape(6, 4)
    ]
    assert np.sum(added) / 60 == pytest.approx(6, rel=0.15)


def test_the_draw_depends_on_the_batch_and_not_on_the_ones_before(collator, train):
    batches = [[train[index] for index in range(start, start + 8)] for start in (0, 8, 16)]
    straight, resumed = collator(), collator()
    last = [straight(batch) for batch in batches][-1]
    assert torch.equal(resumed(batches[-1])["input_ids"], last["input_ids"])


def test_another_seed_or_round_draws_other_rows(collator, train):
    rows = [train[index] for index in range(16)]
    first, other_seed, other_round = collator(), collator(config=AgoraConfig(seed=1)), collator()
    other_round.pool.round = 2
    assert first(rows)["input_ids"].tolist() != other_seed(rows)["input_ids"].tolist()
    assert first(rows)["input_ids"].tolist() != other_round(rows)["input_ids"].tolist()


def test_rows_outside_of_the_training_set_are_padded_only(collator, train, dev):
    mixed = collator()
    assert len(mixed([dev[index] for index in range(8)])["labels"]) == 8
    assert len(mixed([train[0], dev[0]])["labels"]) == 2


def test_a_closed_pool_is_left_out(collator, train):
    mixed = collator()
    mixed.pool.is_open = False
    assert len(mixed([train[index] for index in range(8)])["labels"]) == 8


def test_the_callers_rows_are_left_as_they_are(collator, train):
    rows = [train[index] for index in range(8)]
    collator()(rows)
    assert rows == [train[index] for index in range(8)]


def test_pool_rows_take_only_the_columns_of_the_batch(collator, train):
    rows = [{name: train[index][name] for name in ("input_ids", "attention_mask", "labels")} for index in range(8)]
    batch = collator()(rows)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert len(batch["labels"]) > 8


def test_soft_labels_are_one_hot_for_own_rows_and_the_labelers_for_the_rest(collator, train):
    batch = collator(soft_labels=True)([train[index] for index in range(8)])
    expected = [[1.0 - label, float(label)] for label in train["labels"][:8]]
    assert batch["soft_labels"][:8].tolist() == expected
    assert batch["soft_labels"][8:].tolist() == [[0.25, 0.75]] * (len(batch["labels"]) - 8)


def test_soft_labels_without_a_callback_are_refused(tokenizer, train):
    with pytest.raises(InvalidConfigError, match=r"soft labels need an AgoraCallback.*; there is none\. Make Agora"):
        AgoraDataCollator(tokenizer, soft_labels=True)([train[0]])


def test_columns_that_new_rows_lack_are_refused(collator, train):
    rows = [{**train[index], "length": 3} for index in range(8)]
    with pytest.raises(
        InvalidDataError, match=r"they also have length\. Remove these columns, or leave `remove_unused"
    ):
        collator()(rows)


def test_a_collator_travels_to_a_worker_with_its_pool(collator, train):
    rows = [train[index] for index in range(8)]
    mixed = collator()
    travelled = pickle.loads(pickle.dumps(mixed))
    assert torch.equal(travelled(rows)["input_ids"], mixed(rows)["input_ids"])


def test_soft_targets_mix_the_labelers_answers_with_the_given_labels(collator, train):
    rows = [train[index] for index in range(8)]
    mixed = collator(config=AgoraConfig(labeler_share=0.75), soft_targets=True)
    mixed.pool.train_answers = {row_key(row): [0.5, 0.5] for row in train}
    batch = mixed(rows)
    own = [[0.375, 0.625] if label else [0.625, 0.375] for label in train["labels"][:8]]
    assert batch["labels"][:8].tolist() == own
    assert batch["labels"][8:].tolist() == [[0.25, 0.75]] * (len(batch["labels"]) - 8)
    assert len(batch["labels"]) > 8


def test_soft_targets_leave_evaluation_batches_their_classes(collator, train, dev):
    mixed = collator(soft_targets=True)
    assert mixed([dev[index] for index in range(8)])["labels"].tolist() == dev["labels"][:8]
    mixed.pool.is_open = False
    assert mixed([train[index] for index in range(8)])["labels"].tolist() == train["labels"][:8]
