"""A PyTorch text or image model written as an ONNX file, checked before it takes its name."""

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import ExportError, UnsupportedModelError
from optimum_ose.export.atomic_file import atomic_file
from optimum_ose.export.example_inputs import PIXELS, example_inputs
from optimum_ose.export.parity import check_parity, output_name
from optimum_ose.export.rewriting import rewrite_for_runtime

_PROTOBUF_LIMIT = 2**31  # an ONNX file without external data is one protobuf message


def export_onnx(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    folder: Path,
    *,
    opset: int = 17,
    tolerance: float = 1e-4,
) -> Path:
    """Write `folder/onnx/model.onnx`, with dynamic batch and sequence axes.

    Inputs: `input_ids`, `attention_mask` and, where the model and its tokenizer have it, `token_type_ids`, each int64
    of shape (batch, sequence); of an image model `pixel_values`, float32 of shape (batch, channels, height, width) with
    only the batch dynamic. Output: `logits`, or `last_hidden_state` of a model without a head. An earlier file of that
    name stays whole until the new one is complete, compared with the model, and on the disk. The last layer of a model
    whose head reads the first token computes no other (`rewriting`).

    Args:
        model: a text or image model with float32 weights, on any device, with any attention implementation. It is not
            changed.
        tokenizer: the model's tokenizer; None for an image model.
        folder: the output folder.
        opset: ONNX operator set, >= 14.
        tolerance: largest accepted difference to the model; see `check_parity`.

    Raises:
        UnsupportedModelError: if the model's inputs, outputs, precision or size cannot be exported.
        ExportError: if the model cannot be traced, or the file differs from the model by more than the tolerance.
        OutputFolderError: if the file cannot be written.
    """
    _check_weights(model)
    path = Path(folder) / "onnx" / "model.onnx"
    with atomic_file(path) as temporary:
        try:
            _trace(_eager_twin(model), tokenizer, temporary, opset=opset)
        except UnsupportedModelError:
            raise
        except (RuntimeError, ValueError) as error:
            raise ExportError(
                f"{type(model).__name__} must be traceable by torch.onnx",
                f"tracing failed: {str(error).splitlines()[0]}",
                "Set pad_token_id if the model has none; decoder-only models need transformers 5",
            ) from error
        rewrite_for_runtime(temporary)
        check_parity(model, temporary, tokenizer, tolerance=tolerance)
    return path


class _PositionalModel(torch.nn.Module):
    """The model as a function of tensors in a fixed order, which is what the tracer takes."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        output = self.model(**dict(zip(self.names, tensors, strict=True)), return_dict=True)
        tensor: torch.Tensor = output[output_name(output)]
        return tensor


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


def _trace(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, path: Path, *, opset: int) -> None:
    inputs = example_inputs(
        model, tokenizer, batch_size=2, sequence_length=16, padded=True, generator=np.random.default_rng(0)
    )
    with torch.inference_mode():
        output = model(**inputs, return_dict=True)
    if not {"logits", "last_hidden_state"} & set(output):
        raise UnsupportedModelError(
            "Export needs a model with the output logits or last_hidden_state",
            f"{type(model).__name__} has {', '.join(output)}",
            "Export the base model, or a model with one head",
        )
    name = output_name(output)
    per_token = {0: "batch"} if PIXELS in inputs else {0: "batch", 1: "sequence"}
    axes = dict.fromkeys(inputs, per_token)
    axes[name] = per_token if output[name].ndim == 3 else {0: "batch"}
    with warnings.catch_warnings():
        # Deprecation of this exporter, and guesses of what tracing may get wrong: the parity check tells for certain.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _PositionalModel(model, tuple(inputs)).eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=[name],
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
        )


def _check_weights(model: PreTrainedModel) -> None:
    floating = {str(tensor.dtype) for tensor in model.parameters() if tensor.is_floating_point()}
    if floating != {"torch.float32"}:
        raise UnsupportedModelError(
            "Export needs float32 weights",
            f"the model has {', '.join(sorted(floating)) or 'none'}",
            "Call model.float()",
        )
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    if num_bytes >= _PROTOBUF_LIMIT:
        raise UnsupportedModelError(
            "The weights of an ONNX file must stay below 2 GiB",
            f"the model has {num_bytes / 2**30:.1f} GiB",
            "Export a smaller model",
        )
