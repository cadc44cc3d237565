"""A text for each text: the teacher's next-token distributions along the right text, chrF of what is generated."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from optimum_ose.data.batching import pad_rows
from optimum_ose.data.targets import NO_CLASS
from optimum_ose.exceptions import MissingDependencyError
from optimum_ose.preprocessing import WRITTEN_MASK, Preprocessor
from optimum_ose.tasks.parts.comparing import require_same_words
from optimum_ose.tasks.parts.losses import class_label_loss, divergences, logits_divergence
from optimum_ose.tasks.parts.problem import Batch, Problem

_BATCH_SIZE = 32


def _answers(output: Any, batch: Batch) -> torch.Tensor:
    return output.logits[batch[WRITTEN_MASK].bool()]  # type: ignore[no-any-return]


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    return logits_divergence(*_common(student, teacher), temperature=temperature)


def _error(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """KL(teacher, student), mean over tokens, in nats."""
    return _excess(student, teacher).mean()


def _excess(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return divergences(*_common(student, teacher))


def _common(student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The part that both vocabularies have; they may be padded to other sizes."""
    size = min(student.shape[-1], teacher.shape[-1])
    return student[:, :size], teacher[:, :size]


def require_chrf() -> None:
    """Pass if the package that computes chrF is installed.

    Raises:
        MissingDependencyError: if it is not.
    """
    try:
        import sacrebleu  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "chrF needs the package sacrebleu", "it is not installed", "pip install 'optimum-ose[text2text]'"
        ) from error


@final
@dataclass(frozen=True, slots=True)
class WritingMetric:
    """How written texts are judged: chrF in [0, 1], and the share of texts that are right to the letter.

    Source: Popovic 2015, chrF, as sacrebleu computes it.
    """

    name: str = "chrf"
    score_names: tuple[str, ...] = ("chrf", "exact_match")
    trivial_answer: str = "always writing the most frequent text"

    def scores(self, answers: NDArray[Any], rows: Dataset) -> dict[str, float]:
        """Of logits along the right text, as `predict_logits` gives them, or of the most probable tokens there: the
        share of tokens, and of texts, that are right. What is generated is judged by `judged`.
        """
        right = np.concatenate([np.asarray(labels) for labels in rows["labels"]])
        found = (answers.argmax(-1) if answers.ndim > 1 else answers) == right
        ends = np.cumsum([len(labels) for labels in rows["labels"]])[:-1]
        whole = [part.all() for part in np.split(found, ends)]
        return {"chrf": float(found.mean()), "exact_match": float(np.mean(whole))}

    def score(self, answers: NDArray[Any], rows: Dataset) -> float:
        """The score that decides."""
        return self.scores(answers, rows)[self.name]

    def compute(self, prediction: EvalPrediction) -> dict[str, float]:
        """The `compute_metrics` of a Trainer, which generates nothing: the shares that `scores` gives."""
        found, right = (np.asarray(values) for values in (prediction.predictions, prediction.label_ids))
        counts = right != NO_CLASS
        equal = (found == right) | ~counts
        return {"chrf": float(equal[counts].mean()), "exact_match": float(equal.all(axis=1).mean())}

    def judged(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """All scores of texts."""
        require_chrf()
        import sacrebleu

        said, right = ([" ".join(text.split()) for text in texts] for texts in (predictions, references))
        chrf = sacrebleu.corpus_chrf(said, [right]).score / 100
        equal = [first == second for first, second in zip(said, right, strict=True)]
        return {"chrf": float(chrf), "exact_match": float(np.mean(equal))}

    def trivial_score(self, references: Sequence[str]) -> float:
        """What the most frequent text scores everywhere."""
        ((frequent, _),) = Counter(references).most_common(1)
        return self.judged([frequent] * len(references), references)[self.name]


def generated(model: PreTrainedModel, rows: Dataset, tokenizer: Preprocessor) -> NDArray[Any]:
    """What a model writes of n rows, as its `generation_config` says, as texts without special tokens; shape (n,)."""
    texts, writer = np.empty(len(rows), dtype=object), cast(PreTrainedTokenizerBase, tokenizer)
    collate, order = (
        pad_rows(tokenizer),
        sorted(range(len(rows)), key=[len(ids) for ids in rows["input_ids"]].__getitem__),
    )
    names = [name for name in ("input_ids", "attention_mask") if name in rows.column_names]
    is_training, generate = model.training, cast(Any, model).generate
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), _BATCH_SIZE):
            members = order[start : start + _BATCH_SIZE]
            batch = collate([{name: rows[index][name] for name in names} for index in members])
            # Its own cache has as many layers as the encoder (transformers 5.23, T5): this one grows.
            cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
            found = generate(**{name: values.to(model.device) for name, values in batch.items()}, past_key_values=cache)
            for index, ids in zip(members, found, strict=True):
                texts[index] = writer.decode(ids, skip_special_tokens=True)
    model.train(is_training)
    return texts


def _chosen(logits: Any, labels: Any) -> torch.Tensor:
    """Of a batch's logits the most probable tokens: a vocabulary for each token would fill the memory."""
    found: torch.Tensor = logits[0] if isinstance(logits, tuple) else logits
    return found.argmax(-1)


def _served(answers: Sequence[Any], label_names: Sequence[str]) -> list[str]:
    return [str(answer["generated_text"]) for answer in answers]


WRITTEN_TOKENS = Problem(
    name="written-tokens",
    mismatch=_mismatch,
    error=_error,
    excess=_excess,
    label_loss=class_label_loss,
    metric=lambda label_names: WritingMetric(),
    served=_served,
    answers=_answers,
    asked=generated,
    kept_of_batch=_chosen,
    require_comparable=require_same_words,
    is_kept=False,
    has_classes=False,
)
"""A text, token after token."""
