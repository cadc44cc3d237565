"""Initializes a student: with parts of its teacher's tensors, or from scratch."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.core.architecture import Architecture
from optimum_ose.modeling.inheritance import Origin
from optimum_ose.modeling.reconfiguration import reconfigure
from optimum_ose.tasks import HEADLESS_TASK, task_named


def from_scratch(
    teacher: PreTrainedModel, architecture: Architecture, *, task: str | None, seed: int
) -> PreTrainedModel:
    """A student with the random weights of its own model type, in float32 whatever the config names.

    Args:
        teacher: whose config is reconfigured.
        architecture: the student's sizes.
        task: which head it gets.
        seed: seed of the draw; the global generator is left as it was.
    """
    return random_model(reconfigure(teacher.config, architecture), task=task, seed=seed, written_as=teacher)


def random_model(
    config: PretrainedConfig, *, task: str | None, seed: int, written_as: PreTrainedModel
) -> PreTrainedModel:
    """A model with random weights, in float32 whatever the config names.

    Args:
        config: its sizes.
        task: which head it gets.
        seed: seed of the draw; the global generator is left as it was.
        written_as: whose settings of generation it gets a copy of.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student: PreTrainedModel = task_named(task or HEADLESS_TASK).auto_class.from_config(config, dtype=torch.float32)
    written: Any = getattr(written_as, "generation_config", None)
    if written is not None:  # how it writes is no matter of size
        student.generation_config = copy.deepcopy(written)
    return student


def inherit(
    teacher: PreTrainedModel, architecture: Architecture, *, task: str, origins: Mapping[str, Origin]
) -> PreTrainedModel:
    """A student whose every tensor is a part of one of its teacher's.

    Args:
        teacher: the model inherited from.
        architecture: the student's sizes.
        task: which head it gets.
        origins: from `find_origins`.
    """
    student = from_scratch(teacher, architecture, task=task, seed=0)
    source = dict(teacher.named_parameters())
    target = dict(student.named_parameters())
    with torch.no_grad():
        for name, origin in origins.items():
            target[name].copy_(origin.part(source[origin.name]))
    return student
