"""Answers of an exported model: tokens or pixels, ONNX Runtime in the middle, labels, words or vectors after."""

import os
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, OutputFolderError, UnsupportedModelError
from optimum_ose.serving.folder import read_object
from optimum_ose.serving.generation_settings import MOST_BEAMS
from optimum_ose.serving.inputs import AGGREGATIONS, Aggregation, TextPair, text_pairs
from optimum_ose.serving.loading import LoadedTask, default_file, load_model, model_task
from optimum_ose.serving.model import Model
from optimum_ose.serving.runner import MAX_BATCH_TOKENS, check_threads
from optimum_ose.serving.served_task import DirectTask, Options, RowTask
from optimum_ose.wording import can_name_a_file, shown


@final
class OnnxPipeline:
    """A pipeline for texts or images on ONNX Runtime, without torch and transformers.

    Threads may share one instance.
    """

    def __init__(self, loaded: LoadedTask) -> None:
        """Use `from_pretrained`."""
        self._text_model = loaded.model
        self._loaded = loaded.task
        self.task = loaded.name
        """Name of the task: one of `serving.tasks`."""
        self.gives = loaded.gives
        """What endpoints of other servers ask it for; None: nothing that they know."""
        self._may_be_empty = (
            isinstance(loaded.task, RowTask)
            and loaded.task.may_be_empty
            and not self._model.runner.tokenizer.num_special_tokens_to_add(False)
        )
        """Whether a text can have no tokens, and yet needs an answer."""
        self.reads_texts_again = isinstance(loaded.task, RowTask) and (
            loaded.task.reads_texts_again or self._may_be_empty
        )
        """Whether `check` or `answers` tokenize the texts again."""

    @property
    def _model(self) -> Model:
        if self._text_model is None:
            raise UnsupportedModelError(
                "A text needs a model of texts", f"that of {self.task} takes images", "Call OnnxPipeline with an image"
            )
        return self._text_model

    @property
    def trial_text(self) -> str:
        """A text that the model can answer."""
        return self.row_task.trial_text

    @property
    def direct_task(self) -> DirectTask | None:
        """How inputs are answered by tasks that do not answer each text by one run; None: this one does."""
        return self._loaded if isinstance(self._loaded, DirectTask) else None

    @property
    def row_task(self) -> RowTask:
        """How each text is answered by one run of the model.

        Raises:
            UnsupportedModelError: for tasks that do otherwise, such as question answering: `rows`, `check` and
                `answers` are not for them.
        """
        if not isinstance(self._loaded, RowTask):
            raise UnsupportedModelError(
                "A server answers each text by one run of the model",
                f"{self.task} {self._loaded.refusal}",
                "Call OnnxPipeline in Python instead",
            )
        return self._loaded

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], *, file_name: str | None = None, num_threads: int | None = None
    ) -> "OnnxPipeline":
        """Load an exported folder.

        Args:
            folder: holds `config.json`, `onnx/`, and `tokenizer.json` and `tokenizer_config.json` or, for images,
                `preprocessor_config.json`.
            file_name: ONNX file relative to the folder. None: the one that `ose/benchmark.json` recommends, else
                `onnx/model_quantized.onnx`, else `onnx/model.onnx`. Of a model with a decoder, the decoder's.
            num_threads: intra-op threads; None leaves the choice to ONNX Runtime.

        Raises:
            OutputFolderError: if a file is missing or lies outside the folder.
            InvalidConfigError: if a file is damaged, or an argument is of another kind or out of range.
            UnsupportedModelError: if the model is for another task, or images are made ready in an unknown way.
            MissingDependencyError: if it is a model of images, and Pillow is not installed.
        """
        path = _checked_folder(folder)
        _check_file_name(file_name)
        check_threads("num_threads", num_threads)
        config = read_object(path, "config.json")
        model_task(config)
        return cls(load_model(path, file_name or default_file(path), config=config, num_threads=num_threads))

    def __call__(
        self,
        inputs: Any,
        *,
        top_k: int | Literal["best"] | None = "best",
        aggregation_strategy: Aggregation = "none",
        max_new_tokens: int | None = None,
        num_beams: int | None = None,
        batch_size: int = 32,
    ) -> Any:
        """Answer as a transformers pipeline does, except that texts longer than the model's limit are cut.

        Args:
            inputs: a text, a `{"text", "text_pair"}` mapping, or a list of either; of question answering a
                `{"question", "context"}` mapping or a list of these, with contexts of any length. Of image
                classification a path, the bytes of a file, an image of Pillow, a uint8 array of shape (height, width)
                or (height, width, channels), or a list of these.
            top_k: labels per text or image; None: all, the most probable first. By default the best one, in the flat
                form that transformers gives when `top_k` is not named. Of `fill-mask` words per mask (by default 5), of
                question answering answers per question (by default 1), of image classification by default 5 labels.
            aggregation_strategy: how token classification joins tokens to entities.
            max_new_tokens: of tasks that write. None: 20 of text generation, which takes the most probable token each
                time; of text2text-generation as `generation_config.json` says.
            num_beams: of text2text-generation: beginnings that are kept, 1 for the most probable token each time, 64 at
                most; None: as `generation_config.json` says.
            batch_size: texts or images per run; texts of similar length share one.

        Returns:
            Text classification: `[{"label", "score"}]` for a text and for a list; a list of lists for a list with
            `top_k`; a mapping for a mapping without it. Feature extraction: nested lists (1, tokens, width) per text.
            Sentence embedding: a list of numbers per text. The others: what transformers gives.

        Raises:
            InvalidDataError: if an input is not text, or an image cannot be read, or a number is not positive.
        """
        _check_positive("top_k", 1 if top_k in ("best", None) else top_k)
        _check_positive("batch_size", batch_size)
        _check_positive("max_new_tokens", 1 if max_new_tokens is None else max_new_tokens)
        _check_positive("num_beams", 1 if num_beams is None else num_beams)
        if num_beams is not None and num_beams > MOST_BEAMS:
            raise InvalidDataError(f"num_beams must be at most {MOST_BEAMS}", f"got {num_beams}", "Ask for fewer beams")
        if aggregation_strategy not in AGGREGATIONS:
            raise InvalidDataError(
                f"aggregation_strategy must be one of {', '.join(AGGREGATIONS)}",
                f"got {shown(aggregation_strategy)}",
                "Name one of these",
            )
        options = Options(
            top_k=top_k if isinstance(top_k, int) else None,
            is_best=top_k == "best",
            aggregation_strategy=aggregation_strategy,
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            batch_size=batch_size,
        )
        if isinstance(self._loaded, DirectTask):
            return self._loaded.answer(inputs, options)
        items = inputs if isinstance(inputs, list) else [inputs]
        parts = self.parts(items)
        pairs = [pair for of_item in parts for pair in of_item]
        self.check(pairs)
        rows = self.rows(pairs, batch_size=batch_size)
        answers = self.joined(items, parts, self._loaded.answers(pairs, rows, options))
        return self._loaded.formed(answers, inputs, options)

    def parts(self, inputs: list[Any]) -> list[list[TextPair]]:
        """The texts or pairs that each input of a request holds: one, of most tasks.

        Raises:
            InvalidDataError: if an input is none of the task.
        """
        parts = self.row_task.parts
        return [[pair] for pair in text_pairs(inputs)] if parts is None else parts(inputs)

    def joined(self, inputs: list[Any], parts: list[list[TextPair]], answers: list[Any]) -> list[Any]:
        """One answer to each input, of those to its texts, in their order."""
        join = self.row_task.joined
        if join is None:
            return answers
        rest = iter(answers)
        return [join(item, [next(rest) for _ in pairs]) for item, pairs in zip(inputs, parts, strict=True)]

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
        keep = self.row_task.keep
        return self._model.runner.rows(encodings, batch_size=batch_size, max_tokens=max_tokens, keep=keep)

    def log_probabilities(self, texts: list[str], *, max_length: int | None = None) -> list[NDArray[np.float32]]:
        """Of each text the log-probability of every token but the first, given those before it: (tokens - 1,). The mean
        of its negative is the logarithm of the perplexity.

        Args:
            texts: each has at least one token.
            max_length: tokens at which they are cut; None: as many as the model can hold.

        Raises:
            UnsupportedModelError: if the model continues no texts.
            InvalidDataError: if a text has no tokens.
        """
        if not isinstance(self._loaded, DirectTask) or self._loaded.log_probabilities is None:
            raise UnsupportedModelError(
                "Probabilities of texts need a model that continues texts", f"this one is for {self.task}", "Call it"
            )
        return self._loaded.log_probabilities(texts, max_length)

    @property
    def truncation_side(self) -> str | None:
        """Where texts that are too long lose tokens: `left` or `right`; None: they are not cut."""
        truncation = self._model.runner.tokenizer.truncation
        return None if truncation is None else str(truncation["direction"])

    def encodings(self, pairs: list[TextPair]) -> list[Encoding]:
        """The tokens of each pair, cut to the model's limit, with their places in its text."""
        return self._model.runner.encode(pairs)

    def check(self, pairs: list[TextPair]) -> None:
        """Refuse texts that the model has nothing to say to.

        Raises:
            InvalidDataError: if a text has no tokens, or a pair no room beside its special tokens, or a text for
                `fill-mask` holds no mask, or too many.
        """
        limit = self._model.max_length
        has_room = limit is None or limit > self._model.runner.tokenizer.num_special_tokens_to_add(True)
        if not has_room and any(partner is not None for _, partner in pairs):
            raise InvalidDataError(
                "The model must have room for two texts", f"it reads {limit} tokens", "Send one text"
            )
        check = self.row_task.check
        if not self._may_be_empty and check is None:
            return
        for index, encoding in enumerate(self._model.runner.encode(pairs)):
            if not len(encoding):
                raise InvalidDataError(
                    "A text must have at least one token", f"text {index} has none", "Leave empty texts out"
                )
            if check is not None:
                check(encoding)

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
        options = Options(top_k=top_k, aggregation_strategy=aggregation_strategy)
        return self.row_task.answers(pairs, rows, options)


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
