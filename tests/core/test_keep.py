import math

import numpy as np
import pytest
import row_populations
import sampled_rows
from scipy.stats import spearmanr
from sklearn.metrics import f1_score

from optimum_ose.core.keep import ScoreParts, proven_share, score_parts
from optimum_ose.exceptions import InvalidDataError


def answers(num_rows, *, teacher=0.8, lost=(0.0, 0.02, 0.2), seed=0):
    """Right and wrong of a teacher and of candidates that answer `lost` of its right rows wrongly, and 2% at random."""
    generator = np.random.default_rng(seed)
    right = generator.random(num_rows) < teacher
    found = []
    for share in lost:
        mine = right & (generator.random(num_rows) >= share)
        found.append(np.where(generator.random(num_rows) < 0.02, generator.random(num_rows) < teacher, mine))
    return ScoreParts(teacher=right.astype(float), candidates=np.array(found, dtype=float))


@pytest.mark.parametrize("num_rows", [60, 600])
def test_few_samples_prove_more_than_the_student_keeps(num_rows):
    false, _ = row_populations.false_shares(share=0.95, num_rows=num_rows, num_draws=60, alpha=0.05)
    assert sampled_rows.is_kept(false, 60)


@pytest.mark.slow
@pytest.mark.parametrize("num_rows", [60, 300, 1500])
def test_false_shares_stay_within_alpha_in_a_thousand_samples(num_rows):
    false, _ = row_populations.false_shares(share=0.95, num_rows=num_rows, num_draws=1000, alpha=0.05)
    assert sampled_rows.is_kept(false, 1000)


def test_the_proven_share_lies_below_the_measured_one_and_rises_with_rows():
    few, many = (answers(n, lost=(0.02,)) for n in (300, 20_000))
    assert 0.5 < proven_share(few, 0, alpha=0.05) < proven_share(many, 0, alpha=0.05) < many.shares[0]
    assert proven_share(answers(50, lost=(1.0,)), 0, alpha=0.05) < 0.3


@pytest.mark.parametrize("name", ["f1", "spearman"])
def test_the_parts_of_a_score_that_is_no_mean_have_its_value_and_its_standard_error(name):
    generator = np.random.default_rng(0)

    def draw(num_rows):
        if name == "f1":
            gold = generator.integers(3, size=num_rows)
            return gold, np.where(generator.random(num_rows) < 0.7, gold, generator.integers(3, size=num_rows))
        gold = generator.standard_normal(num_rows)
        return gold, gold + generator.standard_normal(num_rows)

    def value(gold, found):
        return f1_score(gold, found, average="macro") if name == "f1" else spearmanr(gold, found).statistic

    scores, errors = [], []
    for _ in range(25):
        gold, found = draw(400)
        parts = score_parts(
            lambda rows, gold=gold, found=found: np.array([value(gold[rows], found[rows])]), 400, num_groups=40
        )
        scores.append(value(gold, found))
        errors.append(parts[0].std(ddof=1) / math.sqrt(40))
        assert parts[0].mean() == pytest.approx(scores[-1], abs=0.02)
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.4)


def test_parts_of_a_mean_are_the_means_of_its_groups():
    values = np.random.default_rng(0).random(120)
    parts = score_parts(lambda rows: np.array([values[rows].mean()]), 120, num_groups=12)
    assert parts.shape == (1, 12)
    assert parts.mean() == pytest.approx(values.mean())


def test_wrong_parts_are_refused():
    with pytest.raises(InvalidDataError, match="shapes"):
        ScoreParts(teacher=np.ones(5), candidates=np.ones((2, 6)))
    with pytest.raises(InvalidDataError, match="it is 0 on 5 rows"):
        ScoreParts(teacher=np.zeros(5), candidates=np.ones((2, 5)))
