"""What an exported graph computes: the model as a function of named tensors that gives named tensors."""

from collections.abc import Mapping
from typing import Any, final

import torch
from transformers import PreTrainedModel

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.export.example_inputs import WAVES
from optimum_ose.export.past import PAST, PRESENT, cache_tensors, decoding_arguments, past_names
from optimum_ose.tasks.parts.pooling import SentencePooling

SENTENCE = "sentence_embedding"
"""Name of a text's one vector."""
_OUTPUTS = (("start_logits", "end_logits"), ("logits",), ("last_hidden_state",))
"""What may be exported; the first of these that a model has is."""
_NUM_AXES_OF_TEXT = 2
"""Of token ids, where a text is not several choices."""
_PER_TOKEN = frozenset({"start_logits", "end_logits"})


def output_names(output: Mapping[str, Any], pooling: SentencePooling | None = None) -> tuple[str, ...]:
    """The outputs that are exported: those of the head where the model has one, else `last_hidden_state`.

    Raises:
        UnsupportedModelError: if the model gives none of them, or there is nothing to pool.
    """
    names = next((names for names in _OUTPUTS if set(names) <= set(output)), ())
    if not names:
        raise UnsupportedModelError(
            "Export needs a model with the output logits, start_logits and end_logits, or last_hidden_state",
            f"this one has {', '.join(output)}",
            "Export the base model, or a model with one head",
        )
    if pooling is None:
        return names
    if names != ("last_hidden_state",):
        raise UnsupportedModelError(
            "Pooling needs a model without a head", f"this one gives {', '.join(names)}", "Export the base model"
        )
    return (*names, SENTENCE)


@final
class Computation(torch.nn.Module):
    """The model as a function of tensors in a fixed order, which is what the tracer takes."""

    def __init__(self, model: PreTrainedModel, *, inputs: tuple[str, ...], pooling: SentencePooling | None) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs
        self.pooling = pooling

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs in the order of `output_names`, then keys and values."""
        return tuple(self.named(dict(zip(self.inputs, tensors, strict=True))).values())

    def named(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The outputs by name."""
        past = [tensor for name, tensor in tensors.items() if name.startswith(PAST)]
        arguments: dict[str, Any] = {name: tensor for name, tensor in tensors.items() if not name.startswith(PAST)}
        if past:
            arguments |= decoding_arguments(
                self.model, arguments["attention_mask"], past, arguments["input_ids"].shape[1]
            )
        output = self.model(**arguments, return_dict=True)
        found = select_outputs(output, arguments, self.pooling)
        if past:
            kept = cache_tensors(output["past_key_values"])
            found |= dict(zip(past_names(PRESENT, len(kept)), kept, strict=True))
        return found


def select_outputs(
    output: Mapping[str, Any], inputs: Mapping[str, torch.Tensor], pooling: SentencePooling | None
) -> dict[str, torch.Tensor]:
    """The exported outputs of a model's answer, by name."""
    names = output_names(output, pooling)
    found = {name: output[name] for name in names if name != SENTENCE}
    if pooling is not None:
        if "attention_mask" not in inputs:
            raise UnsupportedModelError(
                "Pooling needs a text model with an attention mask",
                f"this one takes {', '.join(inputs)}",
                "Export without pooling",
            )
        found[SENTENCE] = pooling(output["last_hidden_state"], inputs["attention_mask"])
    return found


def free_axes(inputs: Mapping[str, torch.Tensor], outputs: Mapping[str, torch.Tensor]) -> dict[str, dict[int, str]]:
    """Which axes of a graph's tensors are free, with their names."""
    has_past = any(name.startswith(PAST) for name in inputs)
    axes = {name: {0: "batch"} for name in (*inputs, *outputs)}
    has_choices = "input_ids" in inputs and inputs["input_ids"].ndim > _NUM_AXES_OF_TEXT
    if has_choices:
        plain: dict[int, str] = {0: "batch", 1: "num_choices"}
        return {name: {**plain, **({2: "sequence"} if name in inputs else {})} for name in axes}
    for name in inputs:
        if name in {"input_ids", "token_type_ids"} or (name == "attention_mask" and not has_past):
            axes[name][1] = "sequence"
        elif name == "attention_mask":
            axes[name][1] = "total_sequence"
        elif name == WAVES:
            axes[name][1] = "samples"
        elif name.startswith(PAST):
            axes[name][2] = "past_sequence"
    for name, tensor in outputs.items():
        if name.startswith(PRESENT):
            axes[name][2] = "total_sequence"
        elif name in _PER_TOKEN or tensor.ndim == 3:
            axes[name] |= {1: "sequence"} if "input_ids" in inputs else {1: "frames"} if WAVES in inputs else {}
    return axes


def is_per_token(name: str, num_axes: int) -> bool:
    """Whether an output of a text model has the tokens on its second axis."""
    return name in _PER_TOKEN or (num_axes == 3 and not name.startswith(PRESENT))
