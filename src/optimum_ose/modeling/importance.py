"""Measures on calibration rows how much each direction, head and neuron of a teacher carries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.axes import HEADS, HIDDEN, KV_HEADS, LAYERS
from optimum_ose.modeling.dimension_map import DimensionMap, TensorMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """What a teacher's parts carry."""

    residual: torch.Tensor
    """Shape (hidden, hidden): orthonormal directions of the residual stream as columns. First the mean over channels,
    then those in which all layers' outputs are largest in mean square, in descending order."""
    channels: torch.Tensor
    """Shape (hidden,): mean square of each channel of the residual stream about the mean over channels."""
    heads: tuple[torch.Tensor, ...]
    """Per layer, shape (heads,): mean square of each head's output."""
    inner: tuple[torch.Tensor, ...]
    """Per layer, shape (intermediate,): mean square of each inner activation."""
    head_size: int
    """Channels of a head."""
    num_kv_heads: int
    """Heads of keys and values; as many as heads unless several heads share one."""


def measure_importance(
    teacher: PreTrainedModel,
    batches: Iterable[Mapping[str, torch.Tensor]],
    *,
    dimension_map: DimensionMap,
    architecture: Mapping[str, int],
) -> Importance:
    """Importance of a teacher's parts on calibration batches.

    Args:
        teacher: in any mode; it is run in evaluation mode and left as it was.
        batches: model inputs, with `attention_mask` where they hold text; labels are ignored.
        dimension_map: of the teacher's config and task.
        architecture: the teacher's own.

    Raises:
        UnsupportedModelError: if a student cannot inherit through this map.
    """
    require_inheritable(dimension_map)
    readers = {stream: _readers(dimension_map, stream, architecture[LAYERS]) for stream in ("heads", "inner")}
    squares: dict[str, torch.Tensor] = {}
    mask: torch.Tensor | None = None  # None: every token of the batch is real
    modules = dict(teacher.named_modules())

    def remember(name: str) -> Any:
        def hook(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            read = inputs[0].reshape(-1, inputs[0].shape[-1])
            read = read if mask is None else read[mask]
            squares[name] = squares.get(name, torch.zeros(())) + read.double().square().sum(0)

        return modules[name].register_forward_pre_hook(hook)

    handles = [remember(name) for names in readers.values() for name in names]
    residual = torch.zeros((), dtype=torch.float64)
    was_training = teacher.training
    teacher.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                inputs = {name: value for name, value in batch.items() if name != "labels"}
                mask = inputs["attention_mask"].reshape(-1).bool() if "attention_mask" in inputs else None
                states = teacher(**inputs, output_hidden_states=True).hidden_states
                residual = residual + sum(_second_moment(state, mask) for state in states)
    finally:
        teacher.train(was_training)
        for handle in handles:
            handle.remove()
    num_heads = architecture[HEADS]
    channels = [squares[name].reshape(num_heads, -1) for name in readers["heads"]]
    return Importance(
        residual=principal_directions(residual),
        channels=_off_even(residual).diagonal(),
        heads=tuple(of_layer.sum(1) for of_layer in channels),
        inner=tuple(squares[name] for name in readers["inner"]),
        head_size=channels[0].shape[1],
        num_kv_heads=architecture.get(KV_HEADS, num_heads),
    )


def require_inheritable(dimension_map: DimensionMap) -> None:
    """Pass if a student can inherit through this map: self-attention whose heads lie side by side, one inner width.

    Raises:
        UnsupportedModelError: naming what stands in the way.
    """
    tensors = dimension_map.tensors
    followed = {item.axis for tensor in tensors for item in tensor.dimensions} - {None, HIDDEN, HEADS, KV_HEADS}
    shared = [tensor.name for tensor in tensors if not tensor.is_layered and _follows_heads(tensor)]
    read = {tensor.dimensions[1].stream for tensor in tensors if tensor.is_layered and len(tensor.dimensions) == 2}
    reasons = [f"no linear map of the layers reads the {stream}" for stream in ("heads", "inner") if stream not in read]
    reasons += [f"all layers share {name}, which follows the heads" for name in shared]
    if len(followed) > 1:
        reasons.append(f"tensors follow {' and '.join(sorted(filter(None, followed)))}")
    if reasons:
        raise UnsupportedModelError(
            "a student inherits weights where layers are self-attention with separate queries, keys and values "
            "and one feed-forward network",
            f"here {', '.join(reasons)}",
            "Initialize the student from scratch, or choose a model such as BERT, RoBERTa, DistilBERT or Llama",
        )


def _follows_heads(tensor: TensorMap) -> bool:
    return any(item.axis in (HEADS, KV_HEADS) for item in tensor.dimensions)


def principal_directions(second_moment: torch.Tensor) -> torch.Tensor:
    """The even direction, then the eigenvectors at right angles to it, largest eigenvalue first, as columns.

    Args:
        second_moment: symmetric, positive semidefinite, shape (size, size).
    """
    even = _even(second_moment)
    # The even direction gets the one negative eigenvalue, hence comes first.
    shift = 1 + second_moment.trace()
    _, vectors = torch.linalg.eigh(_off_even(second_moment) - shift * even @ even.T)
    return torch.cat([even, vectors[:, 1:].flip(1)], dim=1)


def _even(second_moment: torch.Tensor) -> torch.Tensor:
    """The direction of the mean over channels, shape (size, 1)."""
    size = len(second_moment)
    return torch.full((size, 1), size**-0.5, dtype=second_moment.dtype)


def _off_even(second_moment: torch.Tensor) -> torch.Tensor:
    """The second moment of what is left when the mean over channels is taken away."""
    even = _even(second_moment)
    off_even = torch.eye(len(second_moment), dtype=second_moment.dtype) - even @ even.T
    return off_even @ second_moment @ off_even


def _second_moment(state: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    vectors = state.reshape(-1, state.shape[-1])
    vectors = (vectors if mask is None else vectors[mask]).double()
    return vectors.T @ vectors


def _readers(dimension_map: DimensionMap, stream: str, num_layers: int) -> list[str]:
    """Per layer, the linear map that reads this stream."""
    templates = [
        tensor.name.removesuffix(".weight")
        for tensor in dimension_map.tensors
        if tensor.is_layered and len(tensor.dimensions) == 2 and tensor.dimensions[1].stream == stream
    ]
    return [templates[0].format(layer=layer) for layer in range(num_layers)]
