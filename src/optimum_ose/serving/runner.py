"""Runs of one ONNX file over texts of any number and length."""

from collections.abc import Callable
from pathlib import Path
from typing import final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from tokenizers import Encoding, Tokenizer

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.serving.inputs import TextPair
from optimum_ose.serving.padding import INPUT_NAMES, Padding, run_groups

MAX_BATCH_TOKENS = 2**14
"""Tokens in one run of the session, so that memory does not depend on how many long texts come together."""
_MAX_OUTPUT_VALUES = 2**26
"""Numbers in the output of one run: a vocabulary for each token is much."""
PAST = "past_key_values."
"""What the names of a causal language model's further inputs start with."""


@final
class Runner:
    """A session with its tokenizer. Threads may share one instance."""

    def __init__(self, session: onnxruntime.InferenceSession, tokenizer: Tokenizer, padding: Padding) -> None:
        self.session = session
        self.tokenizer = tokenizer
        self.padding = padding
        self.input_names = [item.name for item in session.get_inputs()]
        self.output_names = [item.name for item in session.get_outputs()]
        self._read = [name for name in self.output_names if name == "sentence_embedding"] or self.output_names

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
        """
        rows: dict[int, NDArray[np.float32]] = {}
        width = self.session.get_outputs()[0].shape[-1]
        if isinstance(width, int):
            max_tokens = min(max_tokens, _MAX_OUTPUT_VALUES // width)
        for members in run_groups([len(encoding) for encoding in encodings], batch_size, max_tokens):
            feeds = self.padding.arrays([encodings[index] for index in members])
            found = self.session.run(self._read, {name: feeds[name] for name in self.input_names})
            output = found[0] if len(found) == 1 else np.stack(found, axis=-1)
            for index, row, mask in zip(members, output, feeds["attention_mask"], strict=True):
                whole = row[mask == 1] if row.ndim == 2 else row
                rows[index] = whole if keep is None else keep(encodings[index], whole)
        return [rows[index] for index in range(len(encodings))]


def open_session(path: Path, num_threads: int | None) -> onnxruntime.InferenceSession:
    """A session on the CPU; `num_threads` None leaves the choice to ONNX Runtime.

    Raises:
        InvalidConfigError: if the file is no model.
        UnsupportedModelError: if it takes other inputs than texts.
    """
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
    names = {item.name for item in session.get_inputs() if not item.name.startswith(PAST)}
    unknown = sorted(names - INPUT_NAMES)
    if unknown:
        raise UnsupportedModelError(
            f"The ONNX file may have the inputs {', '.join(sorted(INPUT_NAMES))}",
            f"it has {', '.join(unknown)}",
            "Export the model with optimum-ose",
        )
    return session
