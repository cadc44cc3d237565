"""Claims about the loss of labels that are distributions."""

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from optimum_ose.finetuning.soft_labels import soft_cross_entropy

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 3.0]])
ANSWERS = torch.tensor([[1.0, 0.5, -2.0], [0.0, 2.0, 2.0]])


def test_class_indices_are_learned_as_ever_at_any_temperature():
    labels = torch.tensor([0, 2])
    assert soft_cross_entropy({"logits": LOGITS}, labels, temperature=4.0) == cross_entropy(LOGITS, labels)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_its_gradient_is_that_of_distillation_at_the_same_temperature(temperature):
    logits = LOGITS.clone().requires_grad_()
    targets = (ANSWERS / temperature).softmax(-1)
    (ours,) = torch.autograd.grad(soft_cross_entropy({"logits": logits}, targets, temperature=temperature), logits)
    divergence = kl_div((logits / temperature).log_softmax(-1), targets, reduction="batchmean")
    (theirs,) = torch.autograd.grad(temperature**2 * divergence, logits)
    torch.testing.assert_close(ours, theirs)


def test_what_trainer_counts_takes_the_place_of_the_mean():
    targets = ANSWERS.softmax(-1)
    mean = soft_cross_entropy({"logits": LOGITS}, targets)
    torch.testing.assert_close(soft_cross_entropy({"logits": LOGITS}, targets, 12), mean / 2)
