"""A folder of a model that writes read into memory: its two sessions, tokenizer and settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, UnsupportedModelError
from optimum_ose.serving.decoding import Decoder
from optimum_ose.serving.folder import resolve_file
from optimum_ose.serving.generation_settings import GenerationSettings, read_generation
from optimum_ose.serving.graphs import DECODER, ENCODER, encoder_of
from optimum_ose.serving.padding import Padding, run_groups
from optimum_ose.serving.runner import FATAL, MAX_BATCH_TOKENS, MAX_OUTPUT_VALUES, RUN_ERRORS, open_session, reason
from optimum_ose.serving.sequence_session import DECODER_INPUTS, SequenceSession
from optimum_ose.serving.settings import stated_length
from optimum_ose.serving.writing import write

_LARGE_VOCABULARY = 2**18
"""Where the file does not say how many logits a token has."""
_POSITIONS = ("max_target_positions", "max_position_embeddings")
"""Names under which model types keep the number of places of what is written."""
_UNLIMITED = 10**6
_EXPORT = "Export the model again"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceModel:
    """A model that reads texts and writes others. Threads may share one instance."""

    tokenizer: Tokenizer
    """Cuts what is read."""
    padding: Padding
    """Fills rows up."""
    decoder: Decoder
    """Tokens back to text."""
    session: SequenceSession
    """Of both files."""
    settings: GenerationSettings
    """How tokens are chosen."""
    most_tokens: int | None
    """That can be written, the start token among them; None: no limit."""

    def texts(
        self, sources: Sequence[str], *, max_new_tokens: int | None, num_beams: int | None, batch_size: int
    ) -> list[str]:
        """What the model writes of each text, without special tokens.

        Args:
            sources: to be read.
            max_new_tokens: to write at most; None: as the folder's settings say.
            num_beams: beginnings that are kept; None: as the folder's settings say.
            batch_size: texts per run.

        Raises:
            InvalidDataError: if a text has no tokens, or the model cannot compute it.
        """
        settings = self.settings if num_beams is None else replace(self.settings, num_beams=num_beams)
        wanted = settings.max_length if max_new_tokens is None else 1 + max_new_tokens
        max_length = wanted if self.most_tokens is None else min(wanted, self.most_tokens)
        encodings = self.tokenizer.encode_batch(list(sources))
        if any(not len(encoding) for encoding in encodings):
            raise InvalidDataError("A text must have at least one token", "one has none", "Leave empty texts out")
        found: dict[int, str] = {}
        for members in self._groups(encodings, settings.num_beams, batch_size):
            rows = self._written([encodings[index] for index in members], settings, max_length)
            for index, row in zip(members, rows, strict=True):
                found[index] = self.decoder.text(row, skip_special=True)
        return [found[index] for index in range(len(encodings))]

    def _groups(self, encodings: Sequence[Encoding], num_beams: int, batch_size: int) -> list[list[int]]:
        values = num_beams * (self.session.vocabulary_size or _LARGE_VOCABULARY)
        size = max(1, min(batch_size, MAX_OUTPUT_VALUES // values))
        return list(run_groups([len(item) for item in encodings], size, max(1, MAX_BATCH_TOKENS // num_beams)))

    def _written(self, encodings: list[Encoding], settings: GenerationSettings, max_length: int) -> list[list[int]]:
        try:
            return write(self.session.read(self.padding.arrays(encodings)), settings, max_length=max_length)
        except RUN_ERRORS as error:
            raise InvalidDataError(
                f"The model must be able to compute a text of {max(map(len, encodings))} tokens",
                f"it fails: {reason(error)}",
                "Send another text",
            ) from error


def load_sequence_model(
    folder: Path,
    file: str,
    *,
    tokenizer: Tokenizer,
    config: dict[str, Any],
    tokenizer_settings: dict[str, Any],
    num_threads: int | None,
) -> SequenceModel:
    """Open the sessions of both files, and let them write of a short text.

    Args:
        folder: holds `generation_config.json`.
        file: the decoder's, relative to the folder.
        tokenizer: of the folder; it cuts nothing yet.
        config: what `config.json` holds.
        tokenizer_settings: what `tokenizer_config.json` holds.
        num_threads: intra-op threads; None leaves the choice to ONNX Runtime.

    Raises:
        OutputFolderError: if a file is missing.
        InvalidConfigError: if a file is damaged, or the files do not belong together.
        UnsupportedModelError: if tokens are to be chosen in a way that is not handled.
    """
    settings = read_generation(folder, config)
    encoder = encoder_of(file)
    if encoder is None:
        raise UnsupportedModelError(
            f"A model that writes is served from {DECODER}*.onnx, with {ENCODER}*.onnx beside it",
            f"got {file}",
            "Name that file, or export the model with optimum-ose",
        )
    options = onnxruntime.RunOptions()
    options.log_severity_level = FATAL
    session = SequenceSession(
        open_session(resolve_file(folder, encoder), num_threads),
        open_session(resolve_file(folder, file), num_threads, known_inputs=DECODER_INPUTS),
        options,
    )
    padding = Padding(config, tokenizer_settings, tokenizer)
    _try(session, tokenizer, [settings.start_id, settings.pad_id, *settings.end_ids], file=file)
    limit = _read_limit(config, tokenizer_settings)
    if limit is not None:
        tokenizer.enable_truncation(limit, direction=tokenizer_settings.get("truncation_side") or "right")
    positions = [value for name in _POSITIONS if isinstance(value := config.get(name), int) and value > 0]
    return SequenceModel(
        tokenizer=tokenizer,
        padding=padding,
        decoder=Decoder(tokenizer, tokenizer_settings),
        session=session,
        settings=settings,
        most_tokens=min(positions, default=None),
    )


def _read_limit(config: Mapping[str, Any], settings: Mapping[str, Any]) -> int | None:
    """Tokens at which what is read is cut: as in training, which the tokenizer's settings tell."""
    named = settings.get("model_max_length")
    if named is not None and named < _UNLIMITED:
        return int(named)
    return stated_length(config, settings)


def _try(session: SequenceSession, tokenizer: Tokenizer, ids: list[int], *, file: str) -> None:
    """Refuse files that do not compute a short text, or have no embedding for a token.

    Raises:
        InvalidConfigError: naming the file.
    """
    largest = max(tokenizer.get_vocab().values(), default=0)
    for token in (*ids, largest):
        row: NDArray[np.int64] = np.array([[token]], dtype=np.int64)
        try:
            reading = session.read({"input_ids": row, "attention_mask": np.ones_like(row)})
            logits = [reading.write(row), reading.write(row)]
        except RUN_ERRORS as error:
            raise InvalidConfigError(
                f"{file} and its encoder must compute the token {token}, {tokenizer.id_to_token(token)!r}",
                f"it fails: {reason(error)}",
                _EXPORT,
            ) from error
        if any(item.ndim != 3 or not np.isfinite(item).all() for item in logits):
            raise InvalidConfigError(
                f"{file} must give logits for each token", "it gives values that are no numbers", _EXPORT
            )
