"""What each of a teacher's layers is worth, by which the layers of a student can be chosen."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from optimum_ose.modeling.prediction import evaluating, real_tokens
from optimum_ose.tasks.parts.problem import Problem

Batches = Sequence[Mapping[str, torch.Tensor]]
"""Model inputs without labels, at least one batch."""


def block_influence(teacher: PreTrainedModel, batches: Batches) -> torch.Tensor:
    """1 - cosine of each layer's input and output, mean over tokens that are not padding, shape (layers,).

    Source: Men et al., arXiv:2403.03853.
    """
    sums, num_tokens = [], 0
    with evaluating(teacher):
        for batch in batches:
            states = teacher(**batch, output_hidden_states=True).hidden_states
            real = real_tokens(batch, states[-1]).bool()
            cosines = [F.cosine_similarity(before[real], after[real], dim=-1) for before, after in pairwise(states)]
            sums.append(torch.stack([(1 - cosine).double().sum() for cosine in cosines]))
            num_tokens += int(real.sum())
    return torch.stack(sums).sum(0) / num_tokens


def losses_when_dropped(
    teacher: PreTrainedModel,
    batches: Batches,
    *,
    problem: Problem,
    shortened: Iterable[PreTrainedModel],
) -> torch.Tensor:
    """Error of the answers of shortened teachers to the whole one's, shape (shortened teachers,).

    Args:
        teacher: not changed.
        batches: of a language model the first is looked at.
        problem: what an answer is.
        shortened: the teacher without a layer, one after the other.
    """
    if not problem.is_kept:
        batches = batches[:1]
    problem = problem.without_masks or problem

    def answers(model: PreTrainedModel) -> torch.Tensor:
        with evaluating(model):
            return torch.cat([problem.answers(model(**batch), batch) for batch in batches])

    expected = answers(teacher)
    return torch.tensor([float(problem.error(answers(model), expected)) for model in shortened])
