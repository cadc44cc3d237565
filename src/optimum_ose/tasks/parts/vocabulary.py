"""A word of the vocabulary for each masked token, or the next one for each token."""

from typing import Any, cast

import torch
from transformers import PreTrainedTokenizerBase

from optimum_ose.data.batching import language_collator
from optimum_ose.data.targets import NO_CLASS
from optimum_ose.preprocessing import Collate, Preprocessor
from optimum_ose.tasks.parts.comparing import require_same_words
from optimum_ose.tasks.parts.losses import class_label_loss, class_loss, logits_divergence
from optimum_ose.tasks.parts.problem import Batch, Problem
from optimum_ose.tasks.parts.token_judges import MaskedTokenJudge, NextTokenJudge


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    """The divergence of softened distributions; vocabularies of another length are compared in their common part."""
    if not len(student):  # no token of the batch is masked
        return student.sum()
    common = min(student.shape[-1], teacher.shape[-1])
    return logits_divergence(student[:, :common], teacher[:, :common], temperature=temperature)


def _error(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student), mean over tokens, in nats."""
    return _mismatch(student, teacher, temperature=1.0)


def _next_answers(output: Any, batch: Batch) -> torch.Tensor:
    return output.logits[batch["attention_mask"].bool()]  # type: ignore[no-any-return]


def _masked_answers(output: Any, batch: Batch) -> torch.Tensor:
    return output.logits[batch["labels"] != NO_CLASS]  # type: ignore[no-any-return]


def _next_loss(output: Any, batch: Batch) -> torch.Tensor:
    return class_loss(output.logits[:, :-1], batch["labels"][:, 1:])


def _next_collator(tokenizer: Preprocessor, seed: int) -> Collate:
    return language_collator(cast(PreTrainedTokenizerBase, tokenizer), masked=False, seed=seed)


def _masked_collator(tokenizer: Preprocessor, seed: int) -> Collate:
    return language_collator(cast(PreTrainedTokenizerBase, tokenizer), masked=True, seed=seed)


NEXT_TOKENS = Problem(
    name="next-tokens",
    mismatch=_mismatch,
    error=_error,
    label_loss=_next_loss,
    judge=NextTokenJudge(),
    answers=_next_answers,
    collator=_next_collator,
    require_comparable=require_same_words,
    is_kept=False,
    has_classes=False,
)
"""The next word for each token."""
MASKED_TOKENS = Problem(
    name="masked-tokens",
    mismatch=_mismatch,
    error=_error,
    label_loss=class_label_loss,
    judge=MaskedTokenJudge(),
    answers=_masked_answers,
    collator=_masked_collator,
    require_comparable=require_same_words,
    is_kept=False,
    without_masks=NEXT_TOKENS,
    has_classes=False,
)
"""A word for each masked token."""
