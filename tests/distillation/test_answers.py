"""Answers are compared where they count, in every kind of problem; a row without a label has no loss to it."""

import math
from types import SimpleNamespace

import pytest
import torch

from optimum_ose.distillation.answers import answer_error, answer_mismatch, answers_of, label_mismatch
from optimum_ose.distillation.losses import logits_divergence, rare_class_counts
from optimum_ose.modeling.tasks import Problem

LOGITS = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])
NONE = math.nan
LABELED: dict[Problem, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {
    "single-label": (LOGITS[0], torch.tensor([1, 4, 0]), torch.tensor([1, -100, 0])),
    "multi-label": (
        LOGITS[0, :, :2],
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
        torch.tensor([[1.0, 0.0], [NONE, NONE], [1.0, 1.0]]),
    ),
    "regression": (LOGITS[0, :, :1], torch.tensor([0.5, 2.0, -1.0]), torch.tensor([0.5, NONE, -1.0])),
}


@pytest.mark.parametrize("problem", LABELED)
def test_a_row_without_a_label_does_not_count(problem: Problem) -> None:
    logits, whole, partly = LABELED[problem]
    kept = torch.tensor([True, False, True])
    found = label_mismatch(problem, SimpleNamespace(logits=logits), {"labels": partly})
    expected = label_mismatch(problem, SimpleNamespace(logits=logits[kept]), {"labels": whole[kept]})
    assert found == pytest.approx(float(expected))


@pytest.mark.parametrize("problem", LABELED)
def test_no_label_at_all_gives_zero_loss_and_zero_gradient(problem: Problem) -> None:
    logits, _, partly = LABELED[problem]
    found = logits.clone().requires_grad_()
    none = torch.full_like(partly, -100 if partly.dtype == torch.long else NONE)
    loss = label_mismatch(problem, SimpleNamespace(logits=found), {"labels": none})
    loss.backward()
    assert loss == 0.0
    assert not found.grad.any()


def test_tags_count_at_real_tokens_and_masked_words_where_they_are_masked() -> None:
    output, labels = SimpleNamespace(logits=LOGITS), torch.tensor([[-100, 3, -100], [-100, -100, 1]])
    batch = {"attention_mask": MASK, "labels": labels}
    assert torch.equal(answers_of("token-labels", output, batch), LOGITS[MASK.bool()])
    assert torch.equal(answers_of("masked-tokens", output, batch), torch.stack([LOGITS[0, 1], LOGITS[1, 2]]))


def test_a_causal_model_is_asked_for_the_next_token() -> None:
    labels = torch.tensor([[2, 0, -100], [1, 1, 4]])
    found = label_mismatch("next-tokens", SimpleNamespace(logits=LOGITS), {"labels": labels})
    rows = torch.stack([LOGITS[0, 0], LOGITS[1, 0], LOGITS[1, 1]])
    assert found == pytest.approx(float(torch.nn.functional.cross_entropy(rows, torch.tensor([0, 1, 4]))))


def test_padding_of_a_vocabulary_is_not_compared() -> None:
    padded = torch.cat([LOGITS[0], torch.full((3, 2), 50.0)], dim=1)
    found = answer_mismatch("masked-tokens", LOGITS[0], padded, temperature=2.0)
    assert found == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("problem", ["token-labels", "single-label", "masked-tokens"])
def test_only_tags_count_by_how_rare_they_are(problem: Problem) -> None:
    student, teacher = LOGITS[0], LOGITS[1]
    counts = rare_class_counts(teacher, weight=5.0) if problem == "token-labels" else None
    expected = logits_divergence(student, teacher, temperature=2.0, counts=counts)
    assert answer_mismatch(problem, student, teacher, temperature=2.0, rare_class_weight=5.0) == expected
    assert (counts is None) == (expected == logits_divergence(student, teacher, temperature=2.0))


def test_a_batch_in_which_no_word_is_masked_has_no_loss() -> None:
    assert answer_mismatch("masked-tokens", LOGITS[0][:0], LOGITS[0][:0], temperature=2.0) == 0.0


@pytest.mark.parametrize("problem", ["single-label", "multi-label", "regression", "token-labels", "representation"])
def test_the_teachers_own_answer_has_the_least_error(problem: Problem) -> None:
    teacher = LOGITS[0].double()
    own = float(answer_error(problem, teacher, teacher))
    assert all(own < float(answer_error(problem, teacher + scale * LOGITS[1], teacher)) for scale in (0.1, 1.0, -1.0))
