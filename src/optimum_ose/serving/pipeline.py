"""Answers of an exported model: tokenizers before, ONNX Runtime in the middle, labels, words or vectors after."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, OutputFolderError, UnsupportedModelError
from optimum_ose.serving.classification import Labels
from optimum_ose.serving.folder import read_object, resolve_file
from optimum_ose.serving.inputs import AGGREGATIONS, Aggregation, TextPair, question_contexts, text_pairs
from optimum_ose.serving.loading import Model, default_file, load_model, model_task
from optimum_ose.serving.question_answering import SpanFinder
from optimum_ose.serving.runner import MAX_BATCH_TOKENS, check_threads
from optimum_ose.serving.text_generation import Continuer
from optimum_ose.serving.token_classification import EntityFinder
from optimum_ose.wording import can_name_a_file, shown

_OF_WHOLE_TEXTS = ("text-classification", "sentence-embedding")
"""Tasks with one answer per text, not one per token."""
_DEFAULT_WORDS = 5
_DEFAULT_NEW_TOKENS = 20
_CHARACTERS_PER_NUMBER = 8
"""Of an answer in JSON, about."""


@final
class OnnxPipeline:
    """A pipeline for texts on ONNX Runtime, without torch and transformers.

    Threads may share one instance.
    """

    def __init__(self, model: Model) -> None:
        """Use `from_pretrained`."""
        self._model = model
        self._labels = Labels(model.config)
        self.task = model.task
        """`text-classification`, `token-classification`, `question-answering`, `fill-mask`, `text-generation`,
        `feature-extraction`, or `sentence-embedding` of a file with pooling inside."""
        tokenizer = model.runner.tokenizer
        self._may_be_empty = model.task in _OF_WHOLE_TEXTS and not tokenizer.num_special_tokens_to_add(False)
        """Whether a text can have no tokens, and yet needs an answer."""
        self._takes_pairs = model.max_length is None or model.max_length > tokenizer.num_special_tokens_to_add(True)
        self.rereads_texts = model.task in ("token-classification", "fill-mask") or self._may_be_empty
        """Whether `check` or `answers` tokenize the texts again."""

    @property
    def trial_text(self) -> str:
        """A text that the model can answer."""
        return "trial" if self._model.filler is None else self._model.filler.mask

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], *, file_name: str | None = None, num_threads: int | None = None
    ) -> "OnnxPipeline":
        """Load an exported folder.

        Args:
            folder: holds `config.json`, `tokenizer.json`, `tokenizer_config.json` and `onnx/`.
            file_name: ONNX file relative to the folder. None: the one that `ose/benchmark.json` recommends, else
                `onnx/model_quantized.onnx`, else `onnx/model.onnx`.
            num_threads: intra-op threads; None leaves the choice to ONNX Runtime.

        Raises:
            OutputFolderError: if a file is missing or lies outside the folder.
            InvalidConfigError: if a file is damaged, or an argument is of another kind or out of range.
            UnsupportedModelError: if the model is for another task.
        """
        path = _checked_folder(folder)
        _check_file_name(file_name)
        check_threads("num_threads", num_threads)
        config = read_object(path, "config.json")
        model_task(config)
        settings = read_object(path, "tokenizer_config.json")
        model_path = resolve_file(path, file_name or default_file(path))
        return cls(load_model(path, model_path, config=config, settings=settings, num_threads=num_threads))

    def __call__(
        self,
        inputs: Any,
        *,
        top_k: int | Literal["best"] | None = "best",
        aggregation_strategy: Aggregation = "none",
        max_new_tokens: int = _DEFAULT_NEW_TOKENS,
        batch_size: int = 32,
    ) -> Any:
        """Answer as a transformers pipeline does, except that texts longer than the model's limit are cut.

        Args:
            inputs: a text, a `{"text", "text_pair"}` mapping, or a list of either; of question answering a
                `{"question", "context"}` mapping or a list of these, with contexts of any length.
            top_k: labels per text; None: all, the most probable first. By default the best one, in the flat form
                that transformers gives when `top_k` is not named. Of `fill-mask` words per mask (by default 5), of
                question answering answers per question (by default 1).
            aggregation_strategy: how token classification joins tokens to entities.
            max_new_tokens: of text generation, which takes the most probable token each time.
            batch_size: texts per run; texts of similar length share one.

        Returns:
            Text classification: `[{"label", "score"}]` for a text and for a list; a list of lists for a list with
            `top_k`; a mapping for a mapping without it. Feature extraction: nested lists (1, tokens, width) per text.
            Sentence embedding: a list of numbers per text. The others: what transformers gives.

        Raises:
            InvalidDataError: if an input is not text, or a number is not positive.
        """
        _check_positive("top_k", 1 if top_k in ("best", None) else top_k)
        _check_positive("batch_size", batch_size)
        _check_positive("max_new_tokens", max_new_tokens)
        if aggregation_strategy not in AGGREGATIONS:
            raise InvalidDataError(
                f"aggregation_strategy must be one of {', '.join(AGGREGATIONS)}",
                f"got {shown(aggregation_strategy)}",
                "Name one of these",
            )
        number = top_k if isinstance(top_k, int) else None
        if self.task == "question-answering":
            return self._answer_questions(inputs, number or 1, batch_size)
        pairs = text_pairs(inputs)
        if self.task == "text-generation":
            return self._continue(pairs, inputs, max_new_tokens, batch_size)
        if self.task == "text-classification" and top_k == "best":
            number = 1
        self.check(pairs)
        rows = self.rows(pairs, batch_size=batch_size)
        answers = self.answers(pairs, rows, top_k=number, aggregation_strategy=aggregation_strategy)
        return self._formed(answers, inputs, is_best=top_k == "best")

    def rows(
        self, pairs: list[TextPair], *, batch_size: int = 32, max_tokens: int = MAX_BATCH_TOKENS
    ) -> list[NDArray[np.float32]]:
        """The output of each pair without padding, in the order given: see `Runner.rows`. Of `fill-mask`, the logits at
        masks only. The pairs must have passed `check`.

        Args:
            pairs: texts with their partners.
            batch_size: texts per run; texts of similar length share one.
            max_tokens: tokens per run, padding included; a longer text runs alone.
        """
        encodings = self._model.runner.encode(pairs)
        filler = self._model.filler
        keep = None if filler is None else filler.at_masks
        return self._model.runner.rows(encodings, batch_size=batch_size, max_tokens=max_tokens, keep=keep)

    def encodings(self, pairs: list[TextPair]) -> list[Encoding]:
        """The tokens of each pair, cut to the model's limit, with their places in its text."""
        return self._model.runner.encode(pairs)

    def require_rows(self) -> None:
        """Refuse a model that does not answer each text by one row: `rows` and `answers` are not for it.

        Raises:
            UnsupportedModelError: for question answering and text generation.
        """
        if self.task in ("question-answering", "text-generation"):
            raise UnsupportedModelError(
                "A server answers each text by one run of the model",
                f"{self.task} takes several",
                "Call OnnxPipeline in Python instead",
            )

    def check(self, pairs: list[TextPair]) -> None:
        """Refuse texts that the model has nothing to say to.

        Raises:
            InvalidDataError: if a text has no tokens, or a pair no room beside its special tokens, or a text for
                `fill-mask` holds no mask, or too many.
        """
        if not self._takes_pairs and any(partner is not None for _, partner in pairs):
            raise InvalidDataError(
                "The model must have room for two texts", f"it reads {self._model.max_length} tokens", "Send one text"
            )
        if not self._may_be_empty and self._model.filler is None:
            return
        for index, encoding in enumerate(self._model.runner.encode(pairs)):
            if not len(encoding):
                raise InvalidDataError(
                    "A text must have at least one token", f"text {index} has none", "Leave empty texts out"
                )
            if self._model.filler is not None:
                self._model.filler.check(encoding)

    def answer_values(self, pairs: list[TextPair], rows: list[NDArray[np.float32]], top_k: int | None) -> int:
        """About how many numbers the answers to texts hold, where a model's limits do not keep them few."""
        if self.task in ("feature-extraction", "sentence-embedding"):
            return sum(row.size for row in rows)
        if self.task != "fill-mask":
            return 0
        characters = sum(len(text) * len(row) for (text, _), row in zip(pairs, rows, strict=True))
        return characters * (top_k or _DEFAULT_WORDS) // _CHARACTERS_PER_NUMBER

    def answers(
        self,
        pairs: list[TextPair],
        rows: list[NDArray[np.float32]],
        *,
        top_k: int | None = None,
        aggregation_strategy: Aggregation = "simple",
    ) -> list[Any]:
        """The answer to each text, made of its row; not for question answering and text generation.

        Args:
            pairs: texts with their partners.
            rows: what `rows` gave for them.
            top_k: labels or words; None: all labels, 5 words.
            aggregation_strategy: how tokens are joined to entities.
        """
        if self.task == "text-classification":
            return [self.ranked(row, top_k) for row in rows]
        if self.task == "feature-extraction":
            return [row[None].tolist() for row in rows]
        if self.task == "sentence-embedding":
            return [row.tolist() for row in rows]
        encodings = self._model.runner.encode(pairs)
        if self._model.filler is not None:
            fill: Callable[..., Any] = self._model.filler.fillings
            return [fill(item, row, top_k or _DEFAULT_WORDS) for item, row in zip(encodings, rows, strict=True)]
        finder = EntityFinder(self._model.runner.tokenizer, self._labels, unknown_id=self._model.unknown_id)
        return [
            finder.entities(text, encoding, row, aggregation_strategy)
            for (text, _), encoding, row in zip(pairs, encodings, rows, strict=True)
        ]

    def ranked(self, logits: NDArray[np.float32], top_k: int | None) -> list[dict[str, Any]]:
        """The `top_k` most probable labels of one row of logits with their scores; None: all."""
        return self._labels.ranked(logits, top_k)

    def label(self, index: int) -> str:
        """The name of a class."""
        return self._labels.name(index)

    def scores(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, or for a regression the values, of one row of logits."""
        return self._labels.scores(logits)

    def _formed(self, answers: list[Any], inputs: object, *, is_best: bool) -> Any:
        """Answers in the form in which transformers gives them."""
        if self.task == "text-classification" and is_best:
            best = [answer[0] for answer in answers]
            return best[0] if isinstance(inputs, Mapping) else best
        alone = self.task == "fill-mask" and len(answers) == 1
        return answers if isinstance(inputs, list) and not alone else answers[0]

    def _answer_questions(self, inputs: object, top_k: int, batch_size: int) -> Any:
        model = self._model
        finder = SpanFinder(model.runner.tokenizer, max_length=model.max_length, first_id=model.first_id)
        pairs = question_contexts(inputs)
        windows = [finder.windows(question, context) for question, context in pairs]
        rows = iter(model.runner.rows([item for items in windows for item in items], batch_size=batch_size))
        answers: list[Any] = []
        for (_, context), items in zip(pairs, windows, strict=True):
            found = finder.answers(context, items, [next(rows) for _ in items], top_k)
            answers.append(found[0] if len(found) == 1 else found)
        return answers[0] if len(answers) == 1 else answers

    def _continue(self, pairs: list[TextPair], inputs: object, max_new_tokens: int, batch_size: int) -> Any:
        texts = [text for text, _ in pairs]
        model = self._model
        continuer = Continuer(model.runner, model.decoder, end_ids=model.end_ids, max_length=model.max_length)
        found = continuer.continuations(texts, max_new_tokens=max_new_tokens, batch_size=batch_size)
        answers = [[{"generated_text": text + more}] for text, more in zip(texts, found, strict=True)]
        return answers if isinstance(inputs, list) else answers[0]


def _checked_folder(folder: object) -> Path:
    path = os.fspath(folder) if isinstance(folder, str | os.PathLike) else None
    if not isinstance(path, str):
        raise InvalidConfigError("folder must be a path", f"got {shown(folder)}", 'Give one such as "out"')
    if not can_name_a_file(path):
        raise OutputFolderError("folder must be a path in UTF-8", f"got {shown(folder)}", 'Give one such as "out"')
    return Path(path)


def _check_file_name(name: object) -> None:
    if name is not None and not isinstance(name, str):
        raise InvalidConfigError("file_name must be text", f"got {shown(name)}", "Give one such as onnx/model.onnx")


def _check_positive(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidDataError(
            f"{name} must be a positive whole number", f"got {shown(value)}", f"Give {name}=1 or more"
        )
