"""Runs of one ONNX file over texts of any number and length."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from tokenizers import Encoding, Tokenizer

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, UnsupportedModelError
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.padding import INPUT_NAMES, Padding, run_groups
from optimum_ose.wording import one_line, shown

MAX_BATCH_TOKENS = 2**14
"""Tokens in one run of the session, so that memory does not depend on how many long texts come together."""
MAX_OUTPUT_VALUES = 2**26
"""Numbers in the output of one run: a vocabulary for each token is much."""
PAST = "past_key_values."
"""What the names of a causal language model's further inputs start with."""
_MAX_THREADS = 64
"""More than this, or than the machine has cores, only cost memory; a hundred thousand kill the process."""
RUN_ERRORS = (
    runtime.EngineError,
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoModel,
    runtime.NoSuchFile,
    runtime.NotFound,
    runtime.NotImplemented,
    runtime.RuntimeException,
)
"""What ONNX Runtime raises, at load and in a run; its errors have no base of their own."""
FATAL = 4
"""Severity from which ONNX Runtime writes to the terminal: its errors come as exceptions, and are told once."""
_READ = (("sentence_embedding",), ("logits",), ("start_logits", "end_logits"), ("last_hidden_state",))
"""Outputs that answers are made of: the first that a file has."""


_NUM_AXES_OF_CHOICES = 3
"""Of token ids where a question has several choices."""


@final
class Runner:
    """A session with its tokenizer. Threads may share one instance."""

    def __init__(self, session: onnxruntime.InferenceSession, tokenizer: Tokenizer, padding: Padding) -> None:
        self.session = session
        self.tokenizer = tokenizer
        self.padding = padding
        self.input_names = [item.name for item in session.get_inputs()]
        self.output_names = [item.name for item in session.get_outputs()]
        known = (list(names) for names in _READ if set(names) <= set(self.output_names))
        self._read = next(known, self.output_names)
        self._has_choices = len(session.get_inputs()[0].shape) == _NUM_AXES_OF_CHOICES
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = FATAL

    def encode(self, pairs: list[TextPair]) -> list[Encoding]:
        """Tokens of each text or pair, cut to the model's limit."""
        return self.tokenizer.encode_batch([text if pair is None else (text, pair) for text, pair in pairs])

    def rows(
        self,
        encodings: list[Encoding],
        *,
        batch_size: int = 32,
        max_tokens: int = MAX_BATCH_TOKENS,
        keep: Callable[[Encoding, NDArray[np.float32]], NDArray[np.float32]] | None = None,
    ) -> list[NDArray[np.float32]]:
        """The output of each text without padding, in the order given.

        Args:
            encodings: what `encode` gave.
            batch_size: texts per run; texts of similar length share one.
            max_tokens: tokens per run, padding included; a longer text runs alone.
            keep: what to keep of an encoding's row; None: all.

        Returns:
            By what the file gives: logits (labels,); logits or vectors (tokens, width); start and end logits
            (tokens, 2); a text's one vector (width,).

        Raises:
            InvalidDataError: if the model cannot compute a text, or gives values that are no numbers.
        """
        rows: dict[int, NDArray[np.float32]] = {}
        width = self.session.get_outputs()[0].shape[-1]
        if isinstance(width, int):
            max_tokens = min(max_tokens, MAX_OUTPUT_VALUES // width)
        for members in run_groups([len(encoding) for encoding in encodings], batch_size, max_tokens):
            for index, row in zip(members, self._group([encodings[index] for index in members]), strict=True):
                rows[index] = row if keep is None else keep(encodings[index], row)
                if not np.isfinite(rows[index]).all():
                    raise _refusal(len(encodings[index]), "it gives values that are no numbers")
        return [rows[index] for index in range(len(encodings))]

    def run(self, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The output that answers are made of; start and end logits as one array (texts, tokens, 2). To a model of
        choices each text is a question with one choice.
        """
        if self._has_choices:
            feeds = {name: array[:, None] for name, array in feeds.items()}
        found = self.session.run(self._read, feeds, self._options)
        return np.asarray(found[0] if len(found) == 1 else np.stack(found, axis=-1))

    def _group(self, encodings: list[Encoding]) -> list[NDArray[np.float32]]:
        """The rows of texts that share a run; if it fails, of each by itself, so that an error is that of one text."""
        feeds = self.padding.arrays(encodings)
        try:
            output = self.run({name: feeds[name] for name in self.input_names})
        except RUN_ERRORS as error:
            if len(encodings) == 1:
                raise _refusal(len(encodings[0]), f"it fails: {reason(error)}") from error
            return [row for encoding in encodings for row in self._group([encoding])]
        pairs = zip(output, feeds["attention_mask"], strict=True)
        return [row[mask == 1] if row.ndim == 2 else row for row, mask in pairs]


def check_threads(name: str, number: object) -> None:
    """Refuse a number of threads that no machine like this one can use; None leaves it open.

    Raises:
        InvalidConfigError: naming the setting and the range.
    """
    most = max(_MAX_THREADS, os.cpu_count() or 1)
    if number is None or (isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= most):
        return
    raise InvalidConfigError(
        f"{name} must be a positive whole number of at most {most}",
        f"got {shown(number)}",
        f"This machine has {os.cpu_count()} cores: give no more",
    )


def reason(error: Exception) -> str:
    """What ONNX Runtime says of an error, without the codes in front."""
    return one_line(str(error).rpartition("[ONNXRuntimeError] : ")[2].split(" : ", 2)[-1], limit=200)


def _refusal(num_tokens: int, actual: str) -> InvalidDataError:
    return InvalidDataError(
        f"The model must be able to compute a text of {num_tokens} tokens", actual, "Send another text"
    )


def open_session(
    path: Path, num_threads: int | None, *, known_inputs: frozenset[str] = INPUT_NAMES
) -> onnxruntime.InferenceSession:
    """A session on the CPU.

    Args:
        path: the ONNX file.
        num_threads: intra-op threads; None leaves the choice to ONNX Runtime.
        known_inputs: what it may take, besides keys and values of a past.

    Raises:
        InvalidConfigError: if the file is no model.
        UnsupportedModelError: if it takes other inputs.
    """
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except RUN_ERRORS as error:
        raise InvalidConfigError(
            f"{path.name} must be a model that ONNX Runtime can load", reason(error), "Export the model again"
        ) from error
    names = {item.name for item in session.get_inputs() if not item.name.startswith(PAST)}
    unknown = sorted(names - known_inputs)
    if unknown:
        raise UnsupportedModelError(
            f"The ONNX file may have the inputs {', '.join(sorted(known_inputs))}",
            f"it has {', '.join(unknown)}",
            "Export the model with optimum-ose",
        )
    return session
