"""Judges language models by held-out texts: masked words, and next words."""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from optimum_ose.data.batching import MASKED_SHARE
from optimum_ose.data.targets import NO_CLASS
from optimum_ose.exceptions import InvalidDataError, UnsupportedModelError
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.pipeline import OnnxPipeline
from optimum_ose.tasks.parts.judge import Answers, Questions

_MOST_MASKS = 16
"""In one text: what is served takes twice as many."""
_CHUNK = 32
"""Texts whose logits are in memory at once."""


@final
class MaskedTokenJudge:
    """Words of held-out texts are masked, the same ones each time; the model guesses them."""

    def name(self, dataset: Dataset) -> str:
        """The share of masked tokens that is guessed rightly."""
        return "masked_accuracy"

    def questions(self, dataset: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Questions:
        """Texts with masks; one whose tokens would change by that is left out.

        Raises:
            UnsupportedModelError: if the tokenizer has no mask, or does not tell where in a text its tokens stand.
            InvalidDataError: if no text can be masked.
        """
        if tokenizer.mask_token is None or not tokenizer.is_fast:
            raise UnsupportedModelError(
                "Masked words need a tokenizer with a mask that tells where its tokens stand",
                f"{type(tokenizer).__name__} has {'no mask' if tokenizer.mask_token is None else 'no fast form'}",
                "Choose a masked language model with a tokenizer.json",
            )
        texts, rows, targets = [], [], []
        for text in dataset["text"]:
            made = _masked(text, tokenizer, max_length)
            if made is not None:
                texts.append(made[0])
                rows.append(made[1])
                targets.append([label for label in made[1]["labels"] if label != NO_CLASS])
        if not rows:
            raise InvalidDataError(
                "At least one text must hold a token that can be masked",
                f"of {len(dataset):,} none does",
                "Give longer texts",
            )
        return Questions(texts=texts, rows=Dataset.from_list(rows), known={"targets": targets})

    def answers(self, output: Any, batch: Mapping[str, torch.Tensor]) -> Sequence[torch.Tensor]:
        """Whether each masked token is guessed, and its log-probability, shape (masks, 2) for each row."""
        found = []
        for logits, labels in zip(output.logits, batch["labels"], strict=True):
            kept = labels != NO_CLASS
            logs = logits[kept].float().log_softmax(-1)
            told = logs.gather(1, labels[kept, None])[:, 0]
            found.append(torch.stack([(logs.argmax(-1) == labels[kept]).float(), told], dim=1))
        return found

    def served(self, pipeline: OnnxPipeline, questions: Questions) -> Answers:
        """The same."""
        found: list[NDArray[Any]] = []
        targets = questions.known["targets"]
        for start in range(0, len(questions.texts), _CHUNK):
            pairs: list[TextPair] = [(text, None) for text in questions.texts[start : start + _CHUNK]]
            rows = pipeline.rows(pairs)
            found += [_graded(row, wanted) for row, wanted in zip(rows, targets[start : start + _CHUNK], strict=True)]
        return found

    def scores(self, answers: Answers, questions: Questions, teacher: Callable[[], Answers]) -> dict[str, float]:
        """`masked_accuracy` and `perplexity`."""
        right, told = np.concatenate(answers).T
        return {"masked_accuracy": float(right.mean()), "perplexity": _perplexity(told)}


@final
class NextTokenJudge:
    """The probability that a model gives to each token of held-out texts, given those before it."""

    def name(self, dataset: Dataset) -> str:
        """The mean probability of a token, the reciprocal of the perplexity."""
        return "likelihood"

    def questions(self, dataset: Dataset, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Questions:
        """Neighboring texts are joined by line ends, up to the length limit."""
        texts = list(_joined(dataset["text"][:], tokenizer, max_length))
        encoded = [tokenizer(text, truncation=True, max_length=max_length)["input_ids"] for text in texts]
        kept = [index for index, ids in enumerate(encoded) if len(ids) > 1]
        if not kept:
            raise InvalidDataError(
                "At least one text must have two tokens", f"of {len(dataset):,} none has", "Give longer texts"
            )
        rows = [
            {"input_ids": encoded[index], "attention_mask": [1] * len(encoded[index]), "labels": encoded[index]}
            for index in kept
        ]
        known = {"max_length": max_length}
        return Questions(texts=[texts[index] for index in kept], rows=Dataset.from_list(rows), known=known)

    def answers(self, output: Any, batch: Mapping[str, torch.Tensor]) -> Sequence[torch.Tensor]:
        """Log-probabilities of all tokens of a row but the first, shape (tokens - 1,)."""
        found = []
        for logits, labels in zip(output.logits, batch["labels"], strict=True):
            kept = labels != NO_CLASS
            logs, wanted = logits[kept][:-1].float().log_softmax(-1), labels[kept][1:]
            found.append(logs.gather(1, wanted[:, None])[:, 0])
        return found

    def served(self, pipeline: OnnxPipeline, questions: Questions) -> Answers:
        """The same."""
        found: Answers = pipeline.log_probabilities(list(questions.texts), max_length=questions.known["max_length"])
        return found

    def scores(self, answers: Answers, questions: Questions, teacher: Callable[[], Answers]) -> dict[str, float]:
        """`likelihood` and `perplexity`."""
        found = _perplexity(np.concatenate(answers))
        return {"likelihood": 1.0 / found, "perplexity": found}


def _perplexity(log_probabilities: NDArray[Any]) -> float:
    return math.exp(min(-float(log_probabilities.mean()), 700.0))


def _graded(logits: NDArray[np.float32], targets: Sequence[int]) -> NDArray[np.float64]:
    """Of logits (masks, vocabulary) what `MaskedTokenJudge.answers` gives."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.stack([logits.argmax(axis=1) == targets, logs[np.arange(len(targets)), targets]], axis=1)


def _masked(text: str, tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[str, dict[str, Any]] | None:
    """A text with masks and its token row; None if masks would change its other tokens."""
    whole = tokenizer(
        text, truncation=True, max_length=max_length, return_offsets_mapping=True, return_special_tokens_mask=True
    )
    spans = whole["offset_mapping"]
    usable = [
        index
        for index, (span, is_special) in enumerate(zip(spans, whole["special_tokens_mask"], strict=True))
        if not is_special and span[1] > span[0]
    ]
    if not usable or whole["input_ids"].count(tokenizer.mask_token_id):
        return None
    count = min(max(round(MASKED_SHARE * len(usable)), 1), _MOST_MASKS)
    drawn = np.random.default_rng(zlib.crc32(text.encode())).permutation(usable)
    for chosen in (sorted(drawn[:count].tolist()), [int(drawn[0])]):
        masked = text
        for place in reversed(chosen):
            masked = masked[: spans[place][0]] + str(tokenizer.mask_token) + masked[spans[place][1] :]
        row = dict(tokenizer(masked, truncation=True, max_length=max_length))
        ids = whole["input_ids"]
        if row["input_ids"] == [
            tokenizer.mask_token_id if place in chosen else ids[place] for place in range(len(ids))
        ]:
            labels = [ids[place] if place in chosen else NO_CLASS for place in range(len(ids))]
            return masked, {**row, "labels": labels}
    return None


def _joined(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Any:
    block, length = list[str](), 0
    for text in texts:
        count = len(tokenizer(text)["input_ids"]) + 1
        if block and length + count > max_length:
            yield "\n".join(block)
            block, length = [], 0
        block.append(text)
        length += count
    if block:
        yield "\n".join(block)
