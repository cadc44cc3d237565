"""Sees to it that accumulated batches count as one large batch in a Trainer that hands the averaging to the model.

Trainer 5 passes `num_items_in_batch` to every model that takes keyword arguments and no longer divides the loss by the
number of accumulated batches. Most classifiers ignore it and return the mean of their own batch, so gradients come out
as many times too large (github.com/huggingface/transformers/issues/47688).
"""

import logging
from collections.abc import Mapping
from typing import Any, final

import torch
from transformers import PreTrainedModel

from optimum_ose.modeling.prediction import evaluating

_IGNORED_LABEL = -100
_LOGGER = logging.getLogger(__name__)


@final
class AccumulatedLoss:
    """Weighs a model's mean loss by its share of the accumulated labels, where the model itself does not.

    Whether it does is tried out on the first batch: a loss that does not change with `num_items_in_batch` is a mean.
    Nothing happens where Trainer divides the loss itself.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._returns_mean: bool | None = None

    def attach(self, model: PreTrainedModel) -> None:
        """Watch the training passes of a model, and of no other one."""
        self.detach()
        self._returns_mean = None
        self._handle = model.register_forward_hook(self._weigh, with_kwargs=True)

    def detach(self) -> None:
        """Leave the model alone."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = None

    def _weigh(self, model: torch.nn.Module, _args: Any, inputs: Mapping[str, Any], outputs: Any) -> Any:
        num_items = inputs.get("num_items_in_batch")
        if num_items is None or not model.training or not torch.is_grad_enabled():
            return None
        labels, loss = inputs.get("labels"), _loss_of(outputs)
        if labels is None or loss is None:
            return None
        if self._returns_mean is None:
            self._returns_mean = _ignores_number_of_items(model, inputs)
            if self._returns_mean:
                _LOGGER.info("the loss of %s is averaged over the accumulated batches here", type(model).__name__)
        if not self._returns_mean:
            return None
        share = (labels != _IGNORED_LABEL).sum() / torch.as_tensor(num_items, device=loss.device)
        return _with_loss(outputs, loss * share.to(loss.device))


def _ignores_number_of_items(model: torch.nn.Module, inputs: Mapping[str, Any]) -> bool:
    num_items = inputs["num_items_in_batch"]
    with evaluating(model):
        few, many = (_loss_of(model.forward(**{**inputs, "num_items_in_batch": n})) for n in (num_items, 2 * num_items))
    return bool(torch.isclose(few, many, rtol=1e-3, equal_nan=True).all())


def _loss_of(outputs: Any) -> Any:
    return outputs.get("loss") if isinstance(outputs, Mapping) else outputs[0]


def _with_loss(outputs: Any, loss: torch.Tensor) -> Any:
    if not isinstance(outputs, Mapping):
        return (loss, *outputs[1:])
    outputs["loss"] = loss  # type: ignore[index]
    return outputs
