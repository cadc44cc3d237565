"""A model that reads with an encoder and writes with a decoder, written as two ONNX files."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.export.decoders import MASK, STATES, Encoder, FirstStep, NextStep, both_caches, cache_names, free_axes
from optimum_ose.export.graph_files import atomic_graph
from optimum_ose.export.merging import merge
from optimum_ose.export.past import PAST, PRESENT
from optimum_ose.export.rewriting import rewrite_for_runtime
from optimum_ose.export.sequence_inputs import sequence_inputs
from optimum_ose.export.sequence_parity import check_sequence_parity
from optimum_ose.serving.graphs import DECODER, ENCODER, onnx_file
from optimum_ose.silence import STANDARD_OUTPUT, native_silence

_NUM_WRITTEN = 3
"""Tokens of which a trace is made."""


def export_sequences(
    model: PreTrainedModel,
    twin: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase | None,
    folder: Path,
    *,
    opset: int,
    tolerance: float,
) -> Path:
    """Write `onnx/encoder_model.onnx` and `onnx/decoder_model_merged.onnx`, with free batch and sequence axes.

    The encoder takes `input_ids` and `attention_mask` and gives `last_hidden_state`. The decoder takes `input_ids`
    (batch, tokens) of what was written, `encoder_hidden_states`, `encoder_attention_mask`, `past_key_values.N.decoder`
    and `.encoder`, each with `.key` and `.value` (batch, heads, tokens, width), and `use_cache_branch`: false (1,) for
    the first tokens, whose past does not count. It gives `logits` and `present.N`, in the same form.

    Args:
        model: with which the files are compared.
        twin: makes the model that is traced.
        tokenizer: of the model.
        folder: the output folder.
        opset: ONNX operator set.
        tolerance: largest accepted difference to the model.

    Returns:
        The decoder's file.

    Raises:
        UnsupportedModelError: if the model's inputs, or what its decoder keeps, are of another kind.
        ExportError: if the files differ from the model by more than the tolerance.
        OutputFolderError: if a file cannot be written.
    """
    traced = twin()
    inputs = sequence_inputs(traced, tokenizer, batch_size=2, sequence_length=16, num_written=_NUM_WRITTEN)
    encoder, decoder = (folder / onnx_file(name) for name in (ENCODER, DECODER))
    with atomic_graph(encoder) as temporary_encoder, atomic_graph(decoder) as temporary:
        states = _write(Encoder(traced), _pick(inputs, Encoder.inputs), Encoder.outputs, temporary_encoder, opset)[0]
        _write_decoder(traced, {**inputs, STATES: states}, temporary, opset)
        check_sequence_parity(model, temporary_encoder, temporary, tokenizer, tolerance=tolerance)
    return decoder


def _write_decoder(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], path: Path, opset: int) -> None:
    given = {MASK: inputs["attention_mask"], "input_ids": inputs["decoder_input_ids"], STATES: inputs[STATES]}
    first, following = path.with_name(f"{path.name}.first"), path.with_name(f"{path.name}.next")
    try:
        with torch.no_grad():
            output: Any = model(
                attention_mask=given[MASK],
                decoder_input_ids=given["input_ids"],
                encoder_outputs=(given[STATES],),
                use_cache=True,
                return_dict=True,
            )
            past = both_caches(output.past_key_values)
        num_layers = len(past) // 4
        _write(FirstStep(model), given, ("logits", *cache_names(PRESENT, num_layers)), first, opset)
        kept = dict(zip(cache_names(PAST, num_layers), past, strict=True))
        names = ("logits", *cache_names(PRESENT, num_layers, ("decoder",)))
        _write(NextStep(model, num_layers=num_layers), {**given, **kept}, names, following, opset)
        onnx.save(merge(onnx.load(first), onnx.load(following)), path)
    finally:
        first.unlink(missing_ok=True)
        following.unlink(missing_ok=True)


def _write(
    module: torch.nn.Module, inputs: Mapping[str, torch.Tensor], outputs: tuple[str, ...], path: Path, opset: int
) -> tuple[torch.Tensor, ...]:
    """Trace a module; what it gives for the inputs."""
    tensors = tuple(inputs.values())
    with torch.no_grad():
        found = module.eval()(*tensors)
    with warnings.catch_warnings(), native_silence(STANDARD_OUTPUT):
        warnings.simplefilter("ignore")  # guesses of what tracing may get wrong: the parity check tells for certain
        torch.onnx.export(
            module,
            tensors,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: free_axes(name) for name in (*inputs, *outputs)},
            opset_version=opset,
            dynamo=False,
        )
    rewrite_for_runtime(path)
    return found if isinstance(found, tuple) else (found,)


def _pick(inputs: Mapping[str, torch.Tensor], names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    return {name: inputs[name] for name in names}
