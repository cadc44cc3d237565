"""What is timed of a model that writes: a text is read, and so many tokens are written, the most probable each time."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.export.sequence_inputs import sequence_inputs
from optimum_ose.serving.sequence_session import SequenceSession


def sequence_timing_inputs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, *, batch_size: int, sequence_length: int
) -> dict[str, torch.Tensor]:
    """Tokens that are read without padding, the same for every candidate, and the token with which a text begins."""
    return sequence_inputs(
        model, tokenizer, batch_size=batch_size, sequence_length=sequence_length, num_written=1, padded=False
    )


def torch_writer(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], num_written: int) -> Callable[[], object]:
    """A call that writes so many tokens in PyTorch, keys and values kept."""
    make: Any = model
    encoder = {name: inputs[name] for name in ("input_ids", "attention_mask")}

    def run() -> None:
        encoded, past, ids = make.get_encoder()(**encoder, return_dict=True), None, inputs["decoder_input_ids"][:, :1]
        for _ in range(num_written):
            output = make(
                encoder_outputs=encoded,
                attention_mask=encoder["attention_mask"],
                decoder_input_ids=ids,
                past_key_values=past,
                use_cache=True,
            )
            past, ids = output.past_key_values, output.logits[:, -1:].argmax(-1)

    return run


def session_writer(
    session: SequenceSession, inputs: Mapping[str, torch.Tensor], num_written: int
) -> Callable[[], object]:
    """The same in ONNX Runtime."""
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}

    def run() -> None:
        reading, ids = session.read(arrays), arrays["decoder_input_ids"][:, :1]
        for _ in range(num_written):
            ids = np.asarray(reading.write(ids)[:, -1:].argmax(-1), dtype=np.int64)

    return run
