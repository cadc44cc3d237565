"""Answers are compared where they count, in every kind of problem; a row without a label has no loss to it."""

import math
import operator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from optimum_ose.tasks.parts.losses import logits_divergence, rare_class_counts
from optimum_ose.tasks.parts.multi_label import MULTI_LABEL
from optimum_ose.tasks.parts.problem import Problem
from optimum_ose.tasks.parts.regression import REGRESSION
from optimum_ose.tasks.parts.representation import REPRESENTATION
from optimum_ose.tasks.parts.single_label import SINGLE_LABEL
from optimum_ose.tasks.parts.token_labels import TOKEN_LABELS
from optimum_ose.tasks.parts.vocabulary import MASKED_TOKENS, NEXT_TOKENS

LOGITS = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])
NONE = math.nan
LABELED: list[tuple[Problem, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] = [
    (SINGLE_LABEL, (LOGITS[0], torch.tensor([1, 4, 0]), torch.tensor([1, -100, 0]))),
    (
        MULTI_LABEL,
        (
            LOGITS[0, :, :2],
            torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
            torch.tensor([[1.0, 0.0], [NONE, NONE], [1.0, 1.0]]),
        ),
    ),
    (REGRESSION, (LOGITS[0, :, :1], torch.tensor([0.5, 2.0, -1.0]), torch.tensor([0.5, NONE, -1.0]))),
]
NAMES = [problem.name for problem, _ in LABELED]
NAME = operator.attrgetter("name")


def label_loss(problem: Problem, output: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    assert problem.label_loss is not None
    return problem.label_loss(output, batch)


@pytest.mark.parametrize(("problem", "labeled"), LABELED, ids=NAMES)
def test_a_row_without_a_label_does_not_count(problem: Problem, labeled: Any) -> None:
    logits, whole, partly = labeled
    kept = torch.tensor([True, False, True])
    found = label_loss(problem, SimpleNamespace(logits=logits), {"labels": partly})
    expected = label_loss(problem, SimpleNamespace(logits=logits[kept]), {"labels": whole[kept]})
    assert found == pytest.approx(float(expected))


@pytest.mark.parametrize(("problem", "labeled"), LABELED, ids=NAMES)
def test_no_label_at_all_gives_zero_loss_and_zero_gradient(problem: Problem, labeled: Any) -> None:
    logits, _, partly = labeled
    found = logits.clone().requires_grad_()
    none = torch.full_like(partly, -100 if partly.dtype == torch.long else NONE)
    loss = label_loss(problem, SimpleNamespace(logits=found), {"labels": none})
    loss.backward()
    assert loss == 0.0
    assert not found.grad.any()


def test_tags_count_at_real_tokens_and_masked_words_where_they_are_masked() -> None:
    output, labels = SimpleNamespace(logits=LOGITS), torch.tensor([[-100, 3, -100], [-100, -100, 1]])
    batch = {"attention_mask": MASK, "labels": labels}
    assert torch.equal(TOKEN_LABELS.answers(output, batch), LOGITS[MASK.bool()])
    assert torch.equal(MASKED_TOKENS.answers(output, batch), torch.stack([LOGITS[0, 1], LOGITS[1, 2]]))


def test_a_causal_model_is_asked_for_the_next_token() -> None:
    labels = torch.tensor([[2, 0, -100], [1, 1, 4]])
    found = label_loss(NEXT_TOKENS, SimpleNamespace(logits=LOGITS), {"labels": labels})
    rows = torch.stack([LOGITS[0, 0], LOGITS[1, 0], LOGITS[1, 1]])
    assert found == pytest.approx(float(torch.nn.functional.cross_entropy(rows, torch.tensor([0, 1, 4]))))


def test_padding_of_a_vocabulary_is_not_compared() -> None:
    padded = torch.cat([LOGITS[0], torch.full((3, 2), 50.0)], dim=1)
    found = MASKED_TOKENS.mismatch(LOGITS[0], padded, temperature=2.0)
    assert found == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("problem", [TOKEN_LABELS, SINGLE_LABEL, MASKED_TOKENS], ids=NAME)
def test_only_tags_count_by_how_rare_they_are(problem: Problem) -> None:
    student, teacher = LOGITS[0], LOGITS[1]
    counts = rare_class_counts(teacher, weight=5.0) if problem is TOKEN_LABELS else None
    expected = logits_divergence(student, teacher, temperature=2.0, counts=counts)
    assert problem.mismatch(student, teacher, temperature=2.0, rare_class_weight=5.0) == expected
    assert (counts is None) == (expected == logits_divergence(student, teacher, temperature=2.0))


def test_a_batch_in_which_no_word_is_masked_has_no_loss() -> None:
    assert MASKED_TOKENS.mismatch(LOGITS[0][:0], LOGITS[0][:0], temperature=2.0) == 0.0


@pytest.mark.parametrize(
    "problem", [SINGLE_LABEL, MULTI_LABEL, REGRESSION, TOKEN_LABELS, REPRESENTATION], ids=lambda problem: problem.name
)
def test_the_teachers_own_answer_has_the_least_error(problem: Problem) -> None:
    teacher = LOGITS[0].double()
    own = float(problem.error(teacher, teacher))
    assert all(own < float(problem.error(teacher + scale * LOGITS[1], teacher)) for scale in (0.1, 1.0, -1.0))
