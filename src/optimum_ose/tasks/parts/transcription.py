"""A character, or none, for each frame of a sound: connectionist temporal classification, word error rate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import EvalPrediction, PretrainedConfig

from optimum_ose.data.targets import NO_CLASS
from optimum_ose.preprocessing import NUM_SAMPLES
from optimum_ose.tasks.parts.losses import cross_entropy_to_teacher, logits_divergence
from optimum_ose.tasks.parts.problem import Batch, Problem


def num_frames(config: PretrainedConfig, num_samples: int) -> int:
    """Frames that a model makes of so many samples."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        num_samples = (num_samples - kernel) // stride + 1
    return max(num_samples, 0)


def _lengths(config: PretrainedConfig, frames: int, batch: Batch) -> torch.Tensor:
    """Real frames of each row of a padded batch."""
    found = [num_frames(config, int(count)) for count in batch[NUM_SAMPLES]]
    return torch.tensor(found, device=batch[NUM_SAMPLES].device).clamp(min=1, max=frames)


def _answers(output: Any, batch: Batch, *, config: PretrainedConfig) -> torch.Tensor:
    logits: torch.Tensor = output.logits
    lengths = _lengths(config, logits.shape[1], batch)
    return logits[torch.arange(logits.shape[1], device=logits.device) < lengths[:, None]]


def _label_loss(output: Any, batch: Batch, *, config: PretrainedConfig) -> torch.Tensor:
    labels, lengths = batch["labels"], _lengths(config, output.logits.shape[1], batch)
    is_label = labels != NO_CLASS
    has_labels = is_label.any(-1)
    if not has_labels.any():  # an empty target would teach silence
        return output.logits.float().sum() * 0  # type: ignore[no-any-return]
    probabilities = F.log_softmax(output.logits[has_labels].float(), dim=-1).transpose(0, 1)
    return F.ctc_loss(
        probabilities,
        labels[is_label],
        lengths[has_labels],
        is_label[has_labels].sum(-1),
        blank=int(config.pad_token_id or 0),
        reduction="mean",
        zero_infinity=True,
    )


def _mismatch(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, rare_class_weight: float = 0.0
) -> torch.Tensor:
    return logits_divergence(student, teacher, temperature=temperature)


@final
@dataclass(frozen=True, slots=True)
class SpeechMetric:
    """How texts of sounds are judged: 1 minus the word error rate, at least 0; the rates of words and characters."""

    config: PretrainedConfig
    """Of the model: its blank, and how many frames it makes."""
    name: str = "word_accuracy"
    score_names: tuple[str, ...] = ("word_accuracy", "wer", "cer")
    trivial_answer: str = "always saying the most frequent text"

    def scores(self, answers: NDArray[Any], rows: Dataset) -> dict[str, float]:
        """Of rows with `labels`: see `compute`."""
        counts = [num_frames(self.config, len(sound)) for sound in rows["audio"]]
        parts = np.split(answers, np.cumsum(counts)[:-1])
        return self._of_tokens([part.argmax(-1) for part in parts], rows["labels"])

    def score(self, answers: NDArray[Any], rows: Dataset) -> float:
        """The score that decides."""
        return self.scores(answers, rows)[self.name]

    def compute(self, prediction: EvalPrediction) -> dict[str, float]:
        """The `compute_metrics` of a Trainer, which knows no texts: errors of tokens in place of those of words."""
        found = prediction.predictions
        logits = np.asarray(found[0] if isinstance(found, tuple) else found)
        best = logits.argmax(-1)
        best[(logits == NO_CLASS).all(-1)] = self._blank  # padding that Trainer adds
        return self._of_tokens(list(best), list(np.asarray(prediction.label_ids)))

    def judged(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """All scores of texts."""
        import jiwer

        right, said = list(references), list(predictions)
        wer = float(jiwer.wer(right, said))
        return {"word_accuracy": max(0.0, 1 - wer), "wer": wer, "cer": float(jiwer.cer(right, said))}

    def trivial_score(self, references: Sequence[str]) -> float:
        """What the most frequent text scores everywhere."""
        ((frequent, _),) = Counter(references).most_common(1)
        return self.judged([frequent] * len(references), references)[self.name]

    @property
    def _blank(self) -> int:
        return int(self.config.pad_token_id or 0)

    def _of_tokens(self, found: Sequence[Any], right: Sequence[Any]) -> dict[str, float]:
        said = [" ".join(map(str, collapsed(row, self._blank))) for row in found]
        wanted = [" ".join(str(token) for token in row if token != NO_CLASS) for row in right]
        return self.judged(said, wanted)


def collapsed(best: Sequence[int], blank: int) -> list[int]:
    """The tokens of frames without repetitions and blanks."""
    kept = [int(token) for index, token in enumerate(best) if index == 0 or token != best[index - 1]]
    return [token for token in kept if token != blank]


def _served(answers: Sequence[Any], label_names: Sequence[str]) -> list[str]:
    return [str(answer["text"]) for answer in answers]


def transcription(config: PretrainedConfig) -> Problem:
    """What a model with this config answers."""
    return Problem(
        name="transcription",
        mismatch=_mismatch,
        error=cross_entropy_to_teacher,
        label_loss=partial(_label_loss, config=config),
        metric=lambda label_names: SpeechMetric(config),
        served=_served,
        answers=partial(_answers, config=config),
        is_kept=False,
        has_classes=False,
    )
