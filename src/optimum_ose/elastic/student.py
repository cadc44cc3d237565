"""The elastic student: shared weights of which every candidate is a view, run on a skeleton without weights."""

from collections.abc import Mapping
from typing import Any, final

import torch
from accelerate import init_empty_weights
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.core.architecture import Architecture
from optimum_ose.elastic.fronts import Front, find_fronts, tensors_of
from optimum_ose.modeling.dimension_map import DimensionMap
from optimum_ose.modeling.initialization import random_model
from optimum_ose.modeling.reconfiguration import reconfigure
from optimum_ose.tasks import HEADLESS_TASK, task_named


@final
class View(torch.nn.Module):
    """A candidate: a model of its own config that computes with parts of the shared weights.

    Args:
        skeleton: a model of the candidate's config whose parameters lie on `meta`.
        fronts: which part of which shared tensor each of its tensors is.
        shared: the shared tensors by name.

    Attributes:
        config: of the candidate, as models of Transformers have it.
        fronts: as given.
    """

    def __init__(
        self, skeleton: PreTrainedModel, fronts: Mapping[str, Front], shared: Mapping[str, torch.Tensor]
    ) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.config = skeleton.config
        self.fronts, self._shared = fronts, shared
        self._leaves: dict[str, torch.Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where the shared weights are."""
        return next(iter(self._shared.values())).device

    def forward(self, **inputs: Any) -> Any:
        """What a model of the candidate's config with these weights returns."""
        tensors = self._leaves or self.tensors()
        return torch.func.functional_call(self.skeleton, tensors, kwargs=inputs)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The candidate's tensors by name, parts of the shared ones, without gradients."""
        return {name: front.of(self._shared[front.name].detach()) for name, front in self.fronts.items()}

    def watch(self) -> None:
        """Let the passes that follow compute gradients, until `collect`."""
        self._leaves = {
            name: tensor.requires_grad_() if self._shared[self.fronts[name].name].requires_grad else tensor
            for name, tensor in self.tensors().items()
        }

    def collect(self, *, keeps: bool = True) -> None:
        """Add the gradients to those of the shared tensors, unless they are not to be kept."""
        for name, leaf in self._leaves.items():
            shared = self._shared[self.fronts[name].name]
            if keeps and leaf.grad is not None:
                if shared.grad is None:
                    shared.grad = torch.zeros_like(shared)
                shared.grad[self.fronts[name].index] += leaf.grad
        self._leaves = {}

    def gradients(self) -> list[torch.Tensor]:
        """The gradients of the passes since `watch`."""
        return [leaf.grad for leaf in self._leaves.values() if leaf.grad is not None]


@final
class ElasticStudent:
    """Shared weights, and the candidates that are views of them.

    Args:
        shared: a model at least as large as every candidate in every axis, its most important parts in front.
        sizes: of the shared model.
        task: what it does; None: it has no head.
        dimension_map: of its model type, if it can be derived.
        config: whose axes the sizes are of, the teacher's; None: the shared model's own. A smaller config may have
            other axes: numbers that are equal by chance count as one.
    """

    def __init__(
        self,
        shared: PreTrainedModel,
        sizes: Architecture,
        *,
        task: str | None,
        dimension_map: DimensionMap | None,
        config: PretrainedConfig | None = None,
    ) -> None:
        self.shared = shared
        self.sizes = sizes
        self._task = task
        self._config = shared.config if config is None else config
        self._dimension_map = dimension_map
        self._views: dict[Architecture, View] = {}

    def view(self, architecture: Architecture) -> View:
        """The candidate of an architecture; made once, it stays bound to the shared weights.

        Raises:
            UnsupportedModelError: if it is no part of the shared weights.
        """
        if architecture not in self._views:
            skeleton = self._skeleton(architecture)
            fronts = find_fronts(
                skeleton,
                self.shared,
                sizes=architecture,
                shared_sizes=self.sizes,
                dimension_map=self._dimension_map,
            )
            self._views[architecture] = View(skeleton, fronts, tensors_of(self.shared))
        return self._views[architecture]

    def move(self, device: torch.device) -> PreTrainedModel:
        """The shared model, on a device; views are made anew."""
        if self.shared.device != device:
            torch.nn.Module.to(self.shared, device)
            self._views = {}
        return self.shared

    def materialize(self, architecture: Architecture) -> PreTrainedModel:
        """An ordinary model with the weights of a candidate, which computes what its view does."""
        config = reconfigure(self._config, architecture)
        student = random_model(config, task=self._task, seed=0, written_as=self.shared)
        target = tensors_of(student)
        with torch.no_grad():
            for name, tensor in self.view(architecture).tensors().items():
                target[name].copy_(tensor)
        student.eval()
        return student

    def _skeleton(self, architecture: Architecture) -> PreTrainedModel:
        config = reconfigure(self._config, architecture)
        auto_class = task_named(self._task or HEADLESS_TASK).auto_class
        with init_empty_weights(include_buffers=False):
            skeleton: PreTrainedModel = auto_class.from_config(config, dtype=torch.float32)
        for module in skeleton.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(self.shared.device))
        skeleton.eval()
        return skeleton
