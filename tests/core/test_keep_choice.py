from itertools import product

import numpy as np
import pytest

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.keep import ScoreParts
from optimum_ose.core.keep_choice import choose
from optimum_ose.core.keep_question import require_answerable, require_share
from optimum_ose.exceptions import InfeasibleError, InvalidConfigError, InvalidDataError

CANDIDATES = [Architecture(depth=d, width=w) for d, w in product((1, 2, 3, 4), (8, 16, 24))]
SIZE = np.array([a.depth * a.width**2 for a in CANDIDATES], dtype=np.float64)
DEPTH = np.array([a.depth for a in CANDIDATES], dtype=np.float64)
SCORE = 0.82 - 0.3 * (SIZE / SIZE.min()) ** -0.8
W = (1 - SIZE / (2 * SIZE.max())) / (1 - SCORE)


def parts(num_rows=6000, teacher=0.8):
    """Candidates right on the rows easiest to them all, up to their score, and 3% of the rows at random."""
    generator = np.random.default_rng(0)
    ease = generator.random(num_rows)
    right = ease < SCORE[:, None]
    mixed = np.where(
        generator.random((len(SCORE), num_rows)) < 0.03, generator.random((len(SCORE), num_rows)) < 0.8, right
    )
    return ScoreParts(teacher=(ease < teacher).astype(float), candidates=mixed.astype(float))


def chosen(found=None, **arguments):
    return choose(found or parts(), CANDIDATES, SIZE, DEPTH, W, **{"keep": 0.93} | arguments)


def test_the_smallest_the_fastest_or_the_best_of_those_that_keep_the_share_is_taken():
    small, fast, best = (chosen(prefer=prefer) for prefer in ("size", "latency", "w"))
    keeps = SCORE >= 0.93 * 0.8
    assert small.chosen.parameter_size == SIZE[keeps].min()
    assert fast.chosen.inference_cost == DEPTH[keeps].min()
    assert fast.chosen.parameter_size >= small.chosen.parameter_size
    assert best.chosen.architecture == CANDIDATES[int(np.argmax(np.where(keeps, W, 0)))]
    assert all(found.chosen.shown for found in (small, fast, best))


def test_the_neighbors_are_told_in_words():
    found = chosen()
    assert found.smaller is not None
    assert found.smaller.parameter_size < found.chosen.parameter_size
    assert found.smaller.share < found.chosen.share
    assert not found.smaller.shown
    assert found.better is not None
    assert found.better.share > found.chosen.share
    for told in (
        f"depth={found.chosen.architecture.depth}, width={found.chosen.architecture.width} keeps at least 93.0% of the "
        "teacher's score with probability 95%",
        "The next cheaper one, ",
        f"{found.smaller.share:.1%} of the teacher's score, not shown to keep it",
        "The next better one, ",
    ):
        assert told in found.statement


def test_the_largest_has_no_better_neighbor():
    assert (
        "None is better"
        in chosen(ScoreParts(teacher=parts().teacher, candidates=parts().teacher + np.zeros((12, 1)))).statement
    )


def test_where_none_is_shown_the_nearest_and_the_rows_needed_are_told():
    with pytest.raises(InfeasibleError, match=r"the nearest of 12 has .*% of it on 150 rows .*Give about [\d,]+ dev"):
        chosen(parts(150), keep=0.99)
    with pytest.raises(InfeasibleError, match=r"Lower keep below 0\.\d+, relax"):
        chosen(parts(teacher=0.99), keep=0.97)


@pytest.mark.parametrize("keep", [0, -1, 1.01, float("nan")])
def test_a_share_outside_of_its_range_is_refused(keep):
    with pytest.raises(InvalidConfigError, match=r"share of the teacher's score in \(0, 1\]"):
        require_share(keep)
    with pytest.raises(InvalidConfigError):
        chosen(keep=keep)


def test_a_share_that_a_constant_answer_keeps_is_refused():
    with pytest.raises(InvalidConfigError, match=r"that answer has 0\.5000.*Raise keep above 0\.833"):
        require_answerable(0.8, teacher_score=0.6, trivial_score=0.5, num_rows=10**6, alpha=0.05)


def test_too_few_rows_are_refused_with_the_number_that_is_needed_and_that_number_is_enough():
    with pytest.raises(InvalidDataError, match=r"about ([\d,]+) development rows are needed; 40 came") as error:
        require_answerable(0.97, teacher_score=0.8, trivial_score=0.5, num_rows=40, alpha=0.05)
    needed = int(str(error.value).split("about ")[1].split(" ")[0].replace(",", ""))
    assert 100 < needed < 3000
    require_answerable(0.97, teacher_score=0.8, trivial_score=0.5, num_rows=needed, alpha=0.05)
    require_answerable(1.0, teacher_score=0.8, trivial_score=0.5, num_rows=40, alpha=0.05)
