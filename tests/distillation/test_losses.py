"""The distillation loss has the gradient it should have, and the right limits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.distillation.losses import cross_entropy_to_teacher, hidden_mismatch, logits_divergence
from optimum_ose.distillation.pupil import layer_map


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(temperature=st.floats(0.5, 8.0), seed=st.integers(0, 20))
def test_the_gradient_of_the_divergence_is_that_of_finite_differences(temperature: float, seed: int) -> None:
    student = drawn(3, 4, seed=seed).requires_grad_()
    teacher = drawn(3, 4, seed=seed + 100)
    assert torch.autograd.gradcheck(
        lambda found: logits_divergence(found, teacher, temperature=temperature), (student,)
    )


def test_the_gradient_of_the_hidden_mismatch_is_that_of_finite_differences() -> None:
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    student = drawn(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda found: hidden_mismatch(found, drawn(2, 3, 4, seed=1), mask), (student,))


def test_a_student_that_answers_as_the_teacher_has_no_divergence() -> None:
    logits = drawn(5, 3)
    assert logits_divergence(logits + 7.0, logits, temperature=2.0) == pytest.approx(0.0, abs=1e-12)


def test_divergence_at_temperature_one_is_cross_entropy_less_the_teachers_entropy() -> None:
    student, teacher = drawn(5, 3), drawn(5, 3, seed=1)
    entropy = cross_entropy_to_teacher(teacher, teacher)
    expected = cross_entropy_to_teacher(student, teacher) - entropy
    assert logits_divergence(student, teacher, temperature=1.0) == pytest.approx(float(expected))


def test_at_high_temperature_the_divergence_compares_centered_logits() -> None:
    student, teacher = drawn(5, 3), drawn(5, 3, seed=1)
    centered = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    limit = centered.square().sum(-1).mean() / (2 * 3)
    assert logits_divergence(student, teacher, temperature=1e3) == pytest.approx(float(limit), rel=1e-2)


def test_padding_does_not_count() -> None:
    student, teacher = drawn(2, 3, 4), drawn(2, 3, 4, seed=1)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    changed = student.clone()
    changed[0, 2] = 99.0
    assert hidden_mismatch(changed, teacher, mask) == hidden_mismatch(student, teacher, mask)


@given(student=st.integers(1, 24), extra=st.integers(0, 24))
def test_every_student_layer_imitates_a_layer_the_teacher_has_and_the_last_the_last(student: int, extra: int) -> None:
    found = layer_map(student, student + extra)
    assert len(found) == student
    assert found[-1] == student + extra
    assert list(found) == sorted(set(found))
    assert found[0] >= 1
