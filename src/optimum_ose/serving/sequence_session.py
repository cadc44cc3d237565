"""The two ONNX files of a model that writes: what is read goes through the encoder once, tokens through the decoder."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

SWITCH = "use_cache_branch"
"""The decoder's input that says whether there is a past."""
_STATES, _MASK = "encoder_hidden_states", "encoder_attention_mask"
_PAST, _PRESENT = "past_key_values", "present"
DECODER_INPUTS = frozenset({"input_ids", _STATES, _MASK, SWITCH})
"""What a decoder may take, besides keys and values."""
Arrays = dict[str, NDArray[Any]]


@final
class SequenceSession:
    """An encoder and its decoder. Threads may share one instance.

    Args:
        encoder: gives `last_hidden_state`.
        decoder: takes and gives keys and values.
        options: of each run.
    """

    def __init__(
        self,
        encoder: onnxruntime.InferenceSession,
        decoder: onnxruntime.InferenceSession,
        options: onnxruntime.RunOptions | None = None,
    ) -> None:
        self.encoder, self.decoder, self._options = encoder, decoder, options
        self.encoder_inputs = [item.name for item in encoder.get_inputs()]
        self._inputs = [item.name for item in decoder.get_inputs()]
        self._outputs = [item.name for item in decoder.get_outputs()]
        self._past = {
            item.name: (item.shape[1], item.shape[3]) for item in decoder.get_inputs() if item.name.startswith(_PAST)
        }
        (logits,) = (item for item in decoder.get_outputs() if item.name == "logits")
        self.vocabulary_size = logits.shape[-1] if isinstance(logits.shape[-1], int) else None
        """Logits of each token, where the file says it."""

    def read(self, inputs: Mapping[str, NDArray[Any]]) -> "Reading":
        """What the encoder makes of inputs, ready to be written from.

        Args:
            inputs: as `encoder_inputs` names them, `attention_mask` among them where inputs have padding.
        """
        given = {name: inputs[name] for name in self.encoder_inputs}
        (states,) = self.encoder.run(["last_hidden_state"], given, self._options)
        mask = inputs.get("attention_mask", np.ones(states.shape[:2], dtype=np.int64))
        return Reading(self, states, mask)

    def step(self, feeds: Arrays) -> Arrays:
        """One run of the decoder, by name."""
        given = {name: feeds[name] for name in self._inputs}
        return dict(zip(self._outputs, self.decoder.run(self._outputs, given, self._options), strict=True))

    def no_past(self, size: int) -> Arrays:
        """The keys and values of nothing."""
        return {
            name: np.zeros((size, heads, 0, width), dtype=np.float32) for name, (heads, width) in self._past.items()
        }


@final
class Reading:
    """What was read, and the keys and values of what has been written of it so far."""

    def __init__(self, session: SequenceSession, states: NDArray[np.float32], mask: NDArray[np.int64]) -> None:
        self._session = session
        self._feeds: Arrays = {_STATES: states, _MASK: mask}
        self._past: Arrays | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self._feeds[_STATES])

    def write(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits (rows, tokens, vocabulary) of tokens that come next.

        Args:
            ids: (rows, tokens).
        """
        has_past = self._past is not None
        past = self._session.no_past(len(ids)) if self._past is None else self._past
        found = self._session.step({**self._feeds, "input_ids": ids, SWITCH: np.array([has_past]), **past})
        self._past = {
            name: past[name] if has_past and ".encoder." in name else found[name.replace(_PAST, _PRESENT, 1)]
            for name in past
        }
        return np.asarray(found["logits"])

    def select(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows, each of which may come several times."""
        self._feeds = {name: array[rows] for name, array in self._feeds.items()}
        if self._past is not None:
            self._past = {name: array[rows] for name, array in self._past.items()}
