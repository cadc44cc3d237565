"""Claims about one round: what is proposed, what is accepted, how it is labeled."""

import numpy as np
import pytest

from optimum_ose.configuration import AgoraConfig
from optimum_ose.core.perturbation import median_nearest_neighbor_distance
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.finetuning.labeling import examine
from optimum_ose.finetuning.pool import row_key
from optimum_ose.finetuning.rounds import PoolBuilder
from optimum_ose.finetuning.tokens import TokenNeighbors
from optimum_ose.modeling.prediction import predict_logits


@pytest.fixture(scope="module")
def student(make_model):
    return make_model(5)


@pytest.fixture(scope="module")
def builder(labeler, tokenizer, train, dev):
    def make(**settings):
        return PoolBuilder(
            labeler, tokenizer, train_dataset=train, dev_dataset=dev, config=AgoraConfig(**settings), batch_size=8
        )

    return make


@pytest.fixture(scope="module")
def built(builder, student):
    return builder(points_per_mistake=3).build(student, round_number=1)


def answers(labeler, tokenizer, rows):
    return examine(labeler, rows, tokenizer=tokenizer, batch_size=8)


def test_every_new_row_comes_from_a_mistake_of_the_student(built, student, dev, tokenizer):
    rows, report = built
    inputs = [dict(row) for row in dev.remove_columns("labels")]
    wrong = predict_logits(student, inputs, tokenizer=tokenizer, batch_size=4).argmax(axis=1) != np.array(dev["labels"])
    assert {row.origin for row in rows} <= set(np.flatnonzero(wrong).tolist())
    assert report.num_mistakes == wrong.sum() > 0
    assert report.dev_accuracy == np.mean(~wrong)


def test_no_new_row_is_a_development_row_or_a_training_row(built, train, dev):
    keys = {row_key(row.features) for row in built[0]}
    assert keys
    assert not keys & {row_key(row) for dataset in (train, dev) for row in dataset}


@pytest.mark.parametrize("known_as", ["training", "development"])
def test_a_known_row_is_not_accepted_even_where_tau_proposes_nothing_else(labeler, tokenizer, train, student, known_as):
    settings = AgoraConfig(num_neighbors=1, replacement_probability=1e-9, min_distance=0, max_distance=1e6)
    mistake = dict(tokenizer("the old cat"))
    answer = int(predict_logits(student, [mistake], tokenizer=tokenizer, batch_size=1).argmax())
    nearest = TokenNeighbors(labeler.get_input_embeddings().weight.detach().numpy(), tokenizer, num_neighbors=1)
    variants = [list(mistake["input_ids"]) for _ in range(3)]
    for position, variant in enumerate(variants, start=1):
        variant[position] = nearest.of(variant[position])[0]
    known = [{**mistake, "input_ids": variant} for variant in variants]
    rights = predict_logits(student, known, tokenizer=tokenizer, batch_size=3).argmax(axis=1)
    known = [{**row, "labels": int(right)} for row, right in zip(known, rights, strict=True)]
    rows, report = PoolBuilder(
        labeler,
        tokenizer,
        train_dataset=[*train, *(known if known_as == "training" else [])],
        dev_dataset=[{**mistake, "labels": 1 - answer}, *(known if known_as == "development" else [])],
        config=settings,
        batch_size=8,
    ).build(student, round_number=1)
    assert report.num_mistakes == 1
    assert report.num_proposed == settings.max_attempts
    assert rows == ()


def test_rows_that_only_differ_in_padding_from_a_training_row_are_known(labeler, tokenizer, train, dev, student):
    width = 16
    padded = dev.map(
        lambda row: tokenizer.pad({"input_ids": row["input_ids"]}, padding="max_length", max_length=width),
        remove_columns=["token_type_ids"],
    )
    built = PoolBuilder(
        labeler,
        tokenizer,
        train_dataset=train,
        dev_dataset=padded,
        config=AgoraConfig(points_per_mistake=20),
        batch_size=8,
    )
    rows, _ = built.build(student, round_number=1)
    assert {len(row.features["input_ids"]) for row in rows} == {width}
    assert not {row_key(row.features) for row in rows} & {row_key(row) for row in (*train, *dev)}


def test_a_proposal_is_accepted_once_only(builder, student):
    few = builder(points_per_mistake=12, num_neighbors=1, replacement_probability=1e-9, min_distance=0)
    keys = [row_key(row.features) for row in few.build(student, round_number=1)[0]]
    assert len(set(keys)) == len(keys) > 0


def test_every_new_row_lies_between_the_two_radii(built, labeler, tokenizer, train, dev):
    unit = median_nearest_neighbor_distance(
        answers(labeler, tokenizer, [dict(row) for row in train.remove_columns("labels")]).representations
    )
    origins = answers(labeler, tokenizer, [dict(row) for row in dev.remove_columns("labels")]).representations
    new = answers(labeler, tokenizer, [row.features for row in built[0]]).representations
    distances = np.linalg.norm(new - origins[[row.origin for row in built[0]]], axis=1) / unit
    assert np.all((distances > 0.1 - 1e-4) & (distances < 1.0 + 1e-4))


def test_no_mistake_gets_more_rows_than_asked_for(built):
    counts = np.bincount([row.origin for row in built[0]])
    assert counts.max() == 3


def test_rows_that_are_no_mistakes_get_as_many_new_rows_as_asked_for(builder, student, train, dev):
    rows, report = builder(points_per_mistake=3, points_per_row=2, max_distance=9.0).build(student, round_number=1)
    counts = np.bincount([row.origin for row in rows], minlength=len(dev) + len(train))
    assert (counts == 3).sum() == report.num_mistakes
    assert (counts == 2).sum() == len(dev) + len(train) - report.num_mistakes
    keys = {row_key(row.features) for row in rows}
    assert len(keys) == len(rows)
    assert not keys & {row_key(row) for dataset in (train, dev) for row in dataset}


def test_an_unreachable_radius_leaves_the_pool_empty(builder, student):
    rows, report = builder(min_distance=1e6, max_distance=1e7, max_attempts=2).build(student, round_number=1)
    assert rows == ()
    assert report.num_proposed == 2 * report.num_mistakes
    assert report.num_accepted == 0
    assert report.gold_agreement is None


def test_labels_are_the_labelers_and_soft_labels_follow_the_temperature(builder, built, student, labeler, tokenizer):
    logits = np.array(answers(labeler, tokenizer, [row.features for row in built[0]]).logits)
    np.testing.assert_array_equal([row.label for row in built[0]], logits.argmax(axis=1))
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([row.soft_label for row in built[0]], exact, atol=1e-5)
    softer, _ = builder(points_per_mistake=3, label_temperature=10.0).build(student, round_number=1)
    assert max(max(row.soft_label) for row in softer) < min(max(row.soft_label) for row in built[0])


def test_the_report_adds_up(built, dev):
    rows, report = built
    assert report.round == 1
    assert sum(report.label_counts) == report.num_accepted == len(rows) <= report.num_proposed
    assert report.label_counts == (sum(row.label == 0 for row in rows), sum(row.label == 1 for row in rows))
    assert report.gold_agreement == np.mean([row.label == dev[row.origin]["labels"] for row in rows])


def test_seed_and_round_decide_the_pool(builder, student):
    one = builder(seed=3).build(student, round_number=2)
    assert builder(seed=3).build(student, round_number=2) == one
    assert builder(seed=4).build(student, round_number=2)[0] != one[0]
    assert builder(seed=3).build(student, round_number=3)[0] != one[0]


def test_pairs_keep_their_structure(labeler, tokenizer, student):
    pairs = [("the cat", "old dog"), ("a big saw", "old jar")]
    texts = [(one, f"{two} {filler}") for one, two in pairs for filler in ("the", "some", "red", "new")]
    rows = [{**tokenizer(one, two), "labels": index % 2} for index, (one, two) in enumerate(texts)]
    builder = PoolBuilder(
        labeler,
        tokenizer,
        train_dataset=rows,
        dev_dataset=[{**row, "labels": 1 - row["labels"]} for row in rows] + rows,
        config=AgoraConfig(max_distance=10.0),
        batch_size=8,
    )
    new, _ = builder.build(student, round_number=1)
    assert new
    for row in new:
        kept = rows[row.origin % len(rows)]
        separators = [position for position, token in enumerate(kept["input_ids"]) if token == tokenizer.sep_token_id]
        assert row.features["token_type_ids"] == kept["token_type_ids"]
        assert [row.features["input_ids"][position] for position in separators] == [tokenizer.sep_token_id] * 2


def test_a_single_mistake_is_sampled_without_a_partner(labeler, tokenizer, train, dev, student):
    rows = [dict(row) for row in dev]
    logits = predict_logits(
        student, [dict(row) for row in dev.remove_columns("labels")], tokenizer=tokenizer, batch_size=8
    )
    for row, answer in zip(rows, logits.argmax(axis=1), strict=True):
        row["labels"] = int(answer)
    rows[0]["labels"] = 1 - rows[0]["labels"]
    builder = PoolBuilder(labeler, tokenizer, train_dataset=train, dev_dataset=rows, config=AgoraConfig(), batch_size=8)
    new, report = builder.build(student, round_number=1)
    assert report.num_mistakes == 1
    assert [row.origin for row in new] == [0]


def test_a_training_set_of_one_text_is_refused(labeler, tokenizer, train, dev):
    with pytest.raises(InvalidDataError, match=r"two different points; got 5 points, 1 of them different"):
        PoolBuilder(
            labeler, tokenizer, train_dataset=[train[0]] * 5, dev_dataset=dev, config=AgoraConfig(), batch_size=8
        )


def test_known_logits_of_the_labeler_give_the_answers_that_it_would_give(builder, labeler, tokenizer, train):
    inputs = [dict(row) for row in train.remove_columns("labels")]
    known = predict_logits(labeler, inputs, tokenizer=tokenizer, batch_size=4).tolist()
    asked, told = builder().train_answers(), builder().train_answers(known)
    assert asked.keys() == told.keys()
    for key, distribution in asked.items():
        assert told[key] == pytest.approx(distribution, abs=1e-6)


def test_logits_of_another_number_of_rows_are_refused(builder, train):
    with pytest.raises(InvalidDataError, match=f"there are 1 for {len(train)} rows"):
        builder().train_answers([[0.0, 1.0]])
