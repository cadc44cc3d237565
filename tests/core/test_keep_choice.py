from dataclasses import replace
from itertools import product

import pytest

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.fptas import extract
from optimum_ose.core.keep_choice import choose
from optimum_ose.core.keep_question import require_answerable, rows_to_show
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InfeasibleError, InvalidConfigError, InvalidDataError

CANDIDATES = [Architecture(depth=d, width=w) for d, w in product((1, 2, 3, 4), (8, 16, 24))]
SIZE = {a: a["depth"] * a["width"] ** 2 for a in CANDIDATES}
SCORES = {a: 0.82 - 0.3 * (SIZE[a] / 64) ** -0.8 for a in CANDIDATES}
TEACHER = 0.8


def searched():
    return extract(
        SearchSpace.of(CANDIDATES),
        parameter_size=lambda found: [SIZE[a] for a in found],
        inference_cost=lambda found: [a["depth"] for a in found],
        error=lambda a, _: 1 - SCORES[a],
        method="exhaustive",
        noise=0.0,
    )


def chosen(least=0.93, scores=SCORES, **arguments):
    given = {"teacher_score": TEACHER, "keep": 0.97, "least_share": least, "prefer": "size"}
    return choose(searched(), scores, **given | arguments)


def test_the_smallest_the_fastest_or_the_best_of_those_that_have_the_share_is_taken():
    members = [a for a in CANDIDATES if SCORES[a] >= 0.93 * TEACHER]
    assert 1 < len(members) < len(CANDIDATES)
    small, fast, best = (chosen(prefer=prefer)[0] for prefer in ("size", "latency", "w"))
    assert SIZE[small.architecture] == min(SIZE[a] for a in members)
    assert fast.architecture["depth"] == min(a["depth"] for a in members)
    by_w = {entry.architecture: entry.w for entry in searched().evaluations}
    assert by_w[best.architecture] == max(by_w[a] for a in members)
    for found in (small, fast, best):
        assert {entry.architecture for entry in found.evaluations} == set(members)
        assert found.objectives.error == pytest.approx(1 - SCORES[found.architecture])


def test_the_certificate_is_about_those_that_have_the_share():
    for prefer, claim in (
        ("size", "the winner has the least parameters of"),
        ("latency", "the winner has the least inference cost of"),
        ("w", "W of the winner is at least 100.0% of the best of"),
    ):
        certificate = chosen(prefer=prefer)[0].certificate
        assert certificate.satisfied
        assert certificate.num_candidates < len(CANDIDATES)
        assert claim in certificate.statement
        assert "candidates (whose measured weights have at least 93.0% of the teacher's score)" in certificate.statement


def test_the_neighbors_are_described():
    _, found = chosen()
    assert found.smaller is not None
    assert found.smaller.parameter_size < found.chosen.parameter_size
    assert found.smaller.share < 0.93 <= found.chosen.share
    assert found.better is not None
    assert found.better.share > found.chosen.share
    for part in (
        f"{found.num_kept} of 12 candidates have at least 93.0%",
        f"has {found.chosen.share:.1%}",
        "The next cheaper one, ",
        f"{found.smaller.share:.1%} of the teacher's score",
        "The next better one, ",
    ):
        assert part in found.statement


def test_where_none_has_the_share_the_nearest_is_taken_and_that_is_said():
    result, found = chosen(least=1.2)
    assert found.num_kept == 0
    assert result.architecture == max(CANDIDATES, key=lambda a: SCORES[a])
    assert "None is better" in found.statement
    assert not result.certificate.satisfied
    assert "nothing is proven about the best of 12 candidates" in result.certificate.statement


def test_a_bound_on_the_error_holds_for_the_chosen_one_too():
    free = chosen()[0]
    bounded, _ = chosen(max_error=free.objectives.error - 1e-6)
    assert bounded.objectives.error < free.objectives.error
    with pytest.raises(InfeasibleError, match="an error of at most 0.01"):
        chosen(max_error=0.01)


def test_nothing_is_claimed_of_candidates_that_were_not_measured():
    every = searched()
    half = replace(
        every,
        evaluations=every.evaluations[:6],
        certificate=replace(every.certificate, assumption="surrogate", ratio=0.8, upper_bound=2 * every.w),
    )
    given = {"teacher_score": TEACHER, "keep": 0.97, "least_share": 0.5}
    by_w = choose(half, SCORES, prefer="w", **given)[0]
    assert by_w.certificate.ratio == pytest.approx(by_w.w / (2 * every.w))
    assert by_w.certificate.assumption == "surrogate"
    assert not choose(half, SCORES, prefer="size", **given)[0].certificate.satisfied


def test_failed_candidates_are_never_taken():
    cheapest = min(CANDIDATES, key=lambda a: SIZE[a])
    result, found = chosen(least=0.0, scores={a: s for a, s in SCORES.items() if a != cheapest})
    assert result.architecture != cheapest
    assert found.num_candidates == 11
    every = searched()
    failed = replace(every, evaluations=tuple(replace(entry, failed=True) for entry in every.evaluations))
    with pytest.raises(InfeasibleError, match="none of 12 was"):
        choose(failed, SCORES, teacher_score=TEACHER, keep=0.97, least_share=0.9, prefer="size")


def test_a_share_that_a_constant_answer_keeps_is_refused():
    with pytest.raises(InvalidConfigError, match=r"that answer has 0\.5000.*Raise keep above 0\.833"):
        require_answerable(0.8, teacher_score=0.6, trivial_score=0.5, num_rows=10**6)
    require_answerable(0.9, teacher_score=0.6, trivial_score=0.5, num_rows=20)


def test_too_few_rows_and_a_teacher_without_score_are_refused():
    with pytest.raises(InvalidDataError, match=r"at least 20 development rows are needed; 19 came"):
        require_answerable(0.97, teacher_score=0.8, trivial_score=0.5, num_rows=19)
    for score in (0.0, -0.2):
        with pytest.raises(InvalidDataError, match="that score is greater than zero"):
            require_answerable(0.97, teacher_score=score, trivial_score=0.0, num_rows=100)
    few, many = (rows_to_show(keep, 0.8, alpha=0.05) for keep in (0.97, 0.99))
    assert few is not None
    assert many is not None
    assert 100 < few < many < 10_000
    assert rows_to_show(1.0, 0.8, alpha=0.05) is None
