"""The distillation loss has the gradient it should have, and the right limits."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.distillation.losses import attention_mismatch, hidden_mismatch, relation_mismatch
from optimum_ose.distillation.pupil import layer_map
from optimum_ose.tasks.parts.losses import (
    binary_cross_entropy_to_teacher,
    binary_divergence,
    cross_entropy_to_teacher,
    logits_divergence,
    rare_class_counts,
    relative_squared_error,
    similarity_mismatch,
)


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


def test_a_row_that_counts_three_times_is_as_three_rows() -> None:
    student, teacher = drawn(2, 3), drawn(2, 3, seed=1)
    counted = logits_divergence(student, teacher, temperature=2.0, counts=torch.tensor([1.0, 3.0]))
    repeated = logits_divergence(student[[0, 1, 1, 1]], teacher[[0, 1, 1, 1]], temperature=2.0)
    assert counted == pytest.approx(float(repeated))


def test_rows_count_as_much_as_the_teacher_believes_in_rare_classes() -> None:
    beliefs = torch.tensor([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.25, 0.5, 0.25]])
    assert rare_class_counts(beliefs.log(), weight=10.0).tolist() == pytest.approx([2.0, 3.0, 8.5])
    assert rare_class_counts(beliefs.log(), weight=0.0).tolist() == [1.0, 1.0, 1.0]


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


MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


@settings(deadline=None)
@given(temperature=st.floats(0.5, 8.0), seed=st.integers(0, 20))
def test_the_gradient_of_the_binary_divergence_is_that_of_finite_differences(temperature: float, seed: int) -> None:
    student, teacher = drawn(3, 4, seed=seed).requires_grad_(), drawn(3, 4, seed=seed + 100)
    assert torch.autograd.gradcheck(
        lambda found: binary_divergence(found, teacher, temperature=temperature), (student,)
    )


@pytest.mark.parametrize(
    "loss",
    [
        lambda found: relation_mismatch(found, drawn(2, 3, 6, seed=1), MASK),
        lambda found: attention_mismatch(found.view(2, 2, 3, 2) @ drawn(2, 2, 2, 3).abs(), looks(4, seed=1), MASK),
        lambda found: similarity_mismatch(found[0], drawn(3, 7, seed=1)),
        lambda found: relative_squared_error(found[0], drawn(3, 4, seed=1)),
        lambda found: binary_cross_entropy_to_teacher(found[0], drawn(3, 4, seed=1)),
    ],
    ids=["relations", "attentions", "similarities", "numbers", "binary"],
)
def test_the_gradient_is_that_of_finite_differences(loss: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert torch.autograd.gradcheck(loss, (drawn(2, 3, 4).abs().requires_grad_(),))


def looks(num_heads: int, seed: int) -> torch.Tensor:
    return drawn(2, num_heads, 3, 3, seed=seed).softmax(-1)


@pytest.mark.parametrize("seed", range(5))
def test_no_loss_is_negative_and_each_is_zero_for_the_teachers_own_answer(seed: int) -> None:
    states, other, logits = drawn(2, 3, 4, seed=seed), drawn(2, 3, 9, seed=seed + 1), drawn(3, 4, seed=seed)
    looked, others = looks(2, seed), looks(4, seed + 1)
    pairs = [
        (relation_mismatch(states, other, MASK), relation_mismatch(states, states, MASK)),
        (attention_mismatch(looked, others, MASK), attention_mismatch(looked, looked, MASK)),
        (similarity_mismatch(states[0], other[0]), similarity_mismatch(states[0], 3 * states[0])),
        (binary_divergence(logits, -logits, temperature=2.0), binary_divergence(logits, logits, temperature=2.0)),
        (relative_squared_error(-logits, logits), relative_squared_error(logits, logits)),
    ]
    for differing, same in pairs:
        assert differing > 1e-6
        assert same == pytest.approx(0.0, abs=1e-12)


def test_padding_has_no_relations_and_is_looked_at_by_no_token() -> None:
    student, teacher = drawn(2, 3, 4), drawn(2, 3, 6, seed=1)
    changed = student.clone()
    changed[0, 2] = 99.0
    assert relation_mismatch(changed, teacher, MASK) == relation_mismatch(student, teacher, MASK)
    found, target = looks(2, 0), looks(2, 1)
    other = found.clone()
    other[0, :, 2] = other[0, :, 2].flip(-1)
    assert attention_mismatch(other, target, MASK) == attention_mismatch(found, target, MASK)


def test_relations_do_not_change_when_channels_are_permuted() -> None:
    states, teacher = drawn(2, 3, 4), drawn(2, 3, 6, seed=1)
    permuted = states[..., torch.tensor([2, 0, 3, 1])]
    assert relation_mismatch(permuted, teacher, MASK) == pytest.approx(float(relation_mismatch(states, teacher, MASK)))


def test_two_classes_of_which_one_holds_are_a_binary_choice() -> None:
    student, teacher = drawn(5, 1), drawn(5, 1, seed=1)
    pair = [torch.cat([value, torch.zeros_like(value)], dim=1) for value in (student, teacher)]
    expected = logits_divergence(*pair, temperature=2.0)
    assert binary_divergence(student, teacher, temperature=2.0) == pytest.approx(float(expected))


def test_the_mean_of_the_teachers_answers_has_the_relative_error_one() -> None:
    teacher = drawn(6, 1)
    assert relative_squared_error(teacher.mean(0).expand(6, 1), teacher) == pytest.approx(1.0)
    shifted = 5 * teacher + 3
    assert relative_squared_error(5 * teacher + 2, shifted) == pytest.approx(
        float(relative_squared_error(teacher - 0.2, teacher))
    )
