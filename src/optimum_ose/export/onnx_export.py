"""A PyTorch model of text, images or sound written as an ONNX file, checked before it takes its name."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.configuration.faults import refusal
from optimum_ose.configuration.kinds import Opset
from optimum_ose.configuration.rules import setting_faults
from optimum_ose.exceptions import ExportError, OSEError, UnsupportedModelError
from optimum_ose.export.computation import Computation, free_axes
from optimum_ose.export.decoders import writes_sequences
from optimum_ose.export.example_inputs import example_inputs
from optimum_ose.export.graph_files import PROTOBUF_LIMIT, atomic_graph
from optimum_ose.export.parity import check_parity
from optimum_ose.export.past import random_past
from optimum_ose.export.pooling import Pooling, as_pooling
from optimum_ose.export.rewriting import rewrite_for_runtime
from optimum_ose.export.sequence_export import export_sequences
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.serving.graphs import MODEL, onnx_file
from optimum_ose.silence import STANDARD_OUTPUT, native_silence
from optimum_ose.tasks.parts.pooling import SentencePooling
from optimum_ose.wording import first_line


def export_onnx(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    folder: Path,
    *,
    opset: int = 17,
    tolerance: float = 1e-4,
    pooling: Pooling | SentencePooling | None = None,
) -> Path:
    """Write `folder/onnx/model.onnx`, with free batch and sequence axes; of a model that reads with an encoder and
    writes with a decoder two files, see `export_sequences`.

    Inputs of a text model: `input_ids`, `attention_mask` and, where the model and its tokenizer have it,
    `token_type_ids`, each int64 of shape (batch, sequence). Of an image model: `pixel_values`, float32 of shape (batch,
    channels, height, width) with only the batch free. Of a sound model: `input_values` (batch, samples), or
    `input_features` (batch, bands, frames) with only the batch free.

    Outputs: `logits`; or `start_logits` and `end_logits`; or, of a model without a head, `last_hidden_state`, and with
    pooling `sentence_embedding` (batch, width). A causal language model also takes `past_key_values.N.key` and `.value`
    (batch, heads, past, width) and gives `present.N.key` and `.value`; its mask covers past and new tokens, and
    positions are counted from the mask.

    An earlier file of that name stays whole until the new one is complete, compared with the model, and on the disk.
    The last layer of a model whose head reads the first token computes no other (`rewriting`).

    Args:
        model: with float32 weights, on any device, with any attention implementation. It is not changed.
        tokenizer: the model's tokenizer; None for a model of images or sound.
        folder: the output folder.
        opset: ONNX operator set, 14 to 20.
        tolerance: largest accepted difference to the model; see `check_parity`.
        pooling: how a text's one vector is made of its tokens'; None: it is not made.

    Raises:
        UnsupportedModelError: if the model's inputs, outputs, precision or size cannot be exported.
        InvalidConfigError: if the operator set is another one.
        ExportError: if the model cannot be traced, or the file differs from the model by more than the tolerance.
        OutputFolderError: if the file cannot be written.
    """
    require_exportable_weights(model)
    if faults := list(setting_faults(Opset, opset, "opset")):  # torch would print the whole graph before it says so
        raise refusal("export_onnx", faults)
    if writes_sequences(model):
        with _traceable(model):
            return export_sequences(
                model, partial(_eager_twin, model), tokenizer, Path(folder), opset=opset, tolerance=tolerance
            )
    path = Path(folder) / onnx_file(MODEL)
    with atomic_graph(path) as temporary:
        with _traceable(model):
            _trace(_eager_twin(model), tokenizer, temporary, opset=opset, pooling=as_pooling(pooling))
        rewrite_for_runtime(temporary)
        check_parity(model, temporary, tokenizer, tolerance=tolerance, pooling=pooling)
    return path


@contextmanager
def _traceable(model: PreTrainedModel) -> Iterator[None]:
    """What fails in the block is told as a fault of tracing, unless it is told already."""
    try:
        yield
    except (OSEError, OSError):  # a full disk is no fault of the model
        raise
    except BUILD_ERRORS as error:
        raise ExportError(
            f"{type(model).__name__} must be traceable by torch.onnx",
            f"tracing failed: {first_line(error)}",
            "Set pad_token_id if the model has none; decoder-only models need transformers 5",
        ) from error


def _eager_twin(model: PreTrainedModel) -> PreTrainedModel:
    """A copy on the CPU with plain attention, the form that ONNX Runtime fuses best.

    The copy is built anew: transformers 4.57 cannot switch the attention of a built BERT. Building draws random
    numbers, so the caller's generator is put back.
    """
    model_class: Any = type(model)
    config = copy.deepcopy(model.config)
    config.use_cache = False
    with torch.random.fork_rng(devices=[]):
        twin = model_class._from_config(config, attn_implementation="eager", dtype=torch.float32)
    twin.load_state_dict(model.state_dict())
    eager: PreTrainedModel = twin.eval()
    return eager


def _trace(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    path: Path,
    *,
    opset: int,
    pooling: SentencePooling | None,
) -> None:
    inputs = example_inputs(
        model, tokenizer, batch_size=2, sequence_length=16, padded=True, generator=np.random.default_rng(0)
    )
    past = random_past(model, batch_size=2, num_tokens=8)
    if past:
        seen = torch.ones((2, 8), dtype=torch.long)
        inputs = {**inputs, "attention_mask": torch.cat([seen, inputs["attention_mask"]], dim=1), **past}
    computation = Computation(model, inputs=tuple(inputs), pooling=pooling).eval()
    with torch.inference_mode():
        outputs = computation.named(dict(inputs))
    with warnings.catch_warnings(), native_silence(STANDARD_OUTPUT):
        # Deprecation of this exporter, and guesses of what tracing may get wrong: the parity check tells for certain.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            computation,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free_axes(inputs, outputs),
            opset_version=opset,
            dynamo=False,
        )


def require_exportable_weights(model: PreTrainedModel) -> None:
    """Pass if a model's weights can be written to ONNX files.

    Raises:
        UnsupportedModelError: if they are not float32; or if a model that reads with an encoder and writes with a
            decoder has 2 GiB of them and more.
    """
    floating = {str(tensor.dtype) for tensor in model.parameters() if tensor.is_floating_point()}
    if floating != {"torch.float32"}:
        raise UnsupportedModelError(
            "Export needs float32 weights",
            f"the model has {', '.join(sorted(floating)) or 'none'}",
            "Call model.float()",
        )
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    if num_bytes >= PROTOBUF_LIMIT and writes_sequences(model):
        raise UnsupportedModelError(
            "The weights of a model with an encoder and a decoder must stay below 2 GiB",
            f"the model has {num_bytes / 2**30:.1f} GiB",
            "Export a smaller model",
        )
