"""Answers of an exported model: tokenizers before, ONNX Runtime in the middle, labels after."""

import os
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from tokenizers import Tokenizer

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, UnsupportedModelError
from optimum_ose.serving.folder import has_file, read_object, read_tokenizer, resolve_file
from optimum_ose.serving.inputs import TextPair, text_pairs
from optimum_ose.serving.padding import INPUT_NAMES, Padding, run_groups

MAX_BATCH_TOKENS = 2**14
"""Tokens in one run of the session, so that memory does not depend on how many long texts come together."""

_TASKS = {"ForSequenceClassification": "text-classification", "Model": "feature-extraction"}
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "ibert"})
"""Model types whose positions start after the padding id, so that two of them hold no token."""


@final
class OnnxPipeline:
    """A text-classification or feature-extraction pipeline on ONNX Runtime, without torch and transformers.

    Threads may share one instance.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        tokenizer: Tokenizer,
        *,
        config: dict[str, Any],
        padding: Padding,
    ) -> None:
        """Use `from_pretrained`."""
        self._session = session
        self._tokenizer = tokenizer
        self._config = config
        self._padding = padding
        self._input_names = [item.name for item in session.get_inputs()]
        self.task = _task(config)
        """`text-classification` or `feature-extraction`."""

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
            InvalidConfigError: if a file is damaged.
            UnsupportedModelError: if the model is for another task.
        """
        path = Path(folder)
        config = read_object(path, "config.json")
        _task(config)
        settings = read_object(path, "tokenizer_config.json")
        model_path = resolve_file(path, file_name or _default_file(path))
        tokenizer = _load_tokenizer(path, max_length=_max_length(config, settings), settings=settings)
        session = _open_session(model_path, num_threads)
        return cls(session, tokenizer, config=config, padding=Padding(config, settings, tokenizer))

    def __call__(
        self,
        inputs: str | dict[str, str] | list[str] | list[dict[str, str]],
        *,
        top_k: int | Literal["best"] | None = "best",
        batch_size: int = 32,
    ) -> Any:
        """Answer as a transformers pipeline does, except that texts longer than the model's limit are cut.

        Args:
            inputs: a text, a `{"text", "text_pair"}` mapping, or a list of either.
            top_k: labels per text; None: all, the most probable first. By default the best one, in the flat form
                that transformers gives when `top_k` is not named.
            batch_size: texts per run; texts of similar length share one.

        Returns:
            Text classification: `[{"label", "score"}]` for a text and for a list; a list of lists for a list with
            `top_k`; a mapping for a mapping without it. Feature extraction: nested lists (1, tokens, width) per text.

        Raises:
            InvalidDataError: if an input is not text, or `top_k` or `batch_size` is not positive.
        """
        _check_positive("top_k", 1 if top_k in ("best", None) else top_k)
        _check_positive("batch_size", batch_size)
        outputs = self.rows(text_pairs(inputs), batch_size=batch_size)
        if self.task == "feature-extraction":
            vectors = [output[None].tolist() for output in outputs]
            return vectors if isinstance(inputs, list) else vectors[0]
        answers = [
            self.ranked(logits, None if top_k is None else 1 if top_k == "best" else top_k) for logits in outputs
        ]
        if top_k != "best":
            return answers if isinstance(inputs, list) else answers[0]
        best = [answer[0] for answer in answers]
        return best[0] if isinstance(inputs, dict) else best

    def rows(
        self, pairs: list[TextPair], *, batch_size: int = 32, max_tokens: int = MAX_BATCH_TOKENS
    ) -> list[NDArray[np.float32]]:
        """The output of each pair without padding, in the order given: logits (labels,) or vectors (tokens, width).

        Args:
            pairs: texts with their partners.
            batch_size: texts per run; texts of similar length share one.
            max_tokens: tokens per run, padding included; a longer text runs alone.
        """
        encodings = self._tokenizer.encode_batch([text if pair is None else (text, pair) for text, pair in pairs])
        rows: dict[int, NDArray[np.float32]] = {}
        for members in run_groups([len(encoding) for encoding in encodings], batch_size, max_tokens):
            feeds = self._padding.arrays([encodings[index] for index in members])
            (output,) = self._session.run(None, {name: feeds[name] for name in self._input_names})
            for index, row, mask in zip(members, output, feeds["attention_mask"], strict=True):
                rows[index] = row[mask == 1] if row.ndim == 2 else row
        return [rows[index] for index in range(len(pairs))]

    def ranked(self, logits: NDArray[np.float32], top_k: int | None) -> list[dict[str, Any]]:
        """The `top_k` most probable labels of one row of logits with their scores; None: all."""
        labeled = [
            {"label": self.label(index), "score": score.item()} for index, score in enumerate(self.scores(logits))
        ]
        return sorted(labeled, key=lambda item: item["score"], reverse=True)[:top_k]

    def label(self, index: int) -> str:
        """The name of a class."""
        names = self._config.get("id2label") or {}
        return str(names.get(str(index), f"LABEL_{index}"))

    def scores(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, or for a regression the values, of one row of logits."""
        problem = self._config.get("problem_type")
        if problem == "regression":
            return logits
        if problem == "multi_label_classification" or len(logits) == 1:
            return np.asarray(1.0 / (1.0 + np.exp(-logits)))
        exponentials = np.exp(logits - logits.max())
        return np.asarray(exponentials / exponentials.sum())


def _task(config: dict[str, Any]) -> str:
    architecture = str((config.get("architectures") or ["unknown"])[0])
    for ending, task in _TASKS.items():
        if architecture.endswith(ending):
            return task
    raise UnsupportedModelError(
        f"Serving knows {' and '.join(_TASKS.values())}",
        f"the model is a {architecture}",
        "Load it with transformers or optimum-onnx instead",
    )


def _default_file(folder: Path) -> str:
    if has_file(folder, "ose/benchmark.json"):
        recommended = read_object(folder, "ose/benchmark.json").get("default_file")
        if isinstance(recommended, str):
            return recommended
    quantized = "onnx/model_quantized.onnx"
    return quantized if has_file(folder, quantized) else "onnx/model.onnx"


def _max_length(config: dict[str, Any], settings: dict[str, Any]) -> int | None:
    """Tokens per text; None if neither file limits them."""
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= 2
    limits = [limit for limit in (positions, settings.get("model_max_length")) if isinstance(limit, int) and limit > 0]
    return min(limits) if limits and min(limits) < 10**6 else None


def _load_tokenizer(folder: Path, *, max_length: int | None, settings: dict[str, Any]) -> Tokenizer:
    text = read_tokenizer(folder)
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises no narrower class
        raise InvalidConfigError(
            "tokenizer.json must be a tokenizer that the library tokenizers can read",
            str(error),
            "Export the model again",
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if max_length is not None:
        tokenizer.enable_truncation(max_length, direction=settings.get("truncation_side", "right"))
    return tokenizer


def _open_session(path: Path, num_threads: int | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (runtime.Fail, runtime.InvalidGraph, runtime.InvalidProtobuf, runtime.NotImplemented) as error:
        raise InvalidConfigError(
            f"{path.name} must be a model that ONNX Runtime can load", str(error), "Export the model again"
        ) from error
    unknown = sorted({item.name for item in session.get_inputs()} - INPUT_NAMES)
    if unknown:
        raise UnsupportedModelError(
            f"The ONNX file may have the inputs {', '.join(sorted(INPUT_NAMES))}",
            f"it has {', '.join(unknown)}",
            "Export the model with optimum-ose",
        )
    return session


def _check_positive(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidDataError(f"{name} must be a positive whole number", f"got {value!r}", f"Give {name}=1 or more")
