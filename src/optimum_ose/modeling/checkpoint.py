"""Loads the weights of a model as float32, and refuses files that do not hold the model that the config describes."""

import contextlib
import inspect
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.building import BUILD_ERRORS, build_on_meta
from optimum_ose.modeling.source import not_loaded
from optimum_ose.modeling.weights import (
    Stored,
    num_elements,
    read_headers,
    read_weights,
    require_finite,
    weight_files,
)
from optimum_ose.modeling.wrappers import without_wrappers
from optimum_ose.tasks import task_named
from optimum_ose.tasks.parts.task import Task
from optimum_ose.wording import listed, one_line, shown

_SPARE = 2**24
"""Parameters that a model may have beyond twice those in its files: heads, and tables that files hold once."""
_POOLER = re.compile(r"(^|\.)pooler\.")
"""Some classes of a model type have a pooler where others have none; only a head reads it."""
_BUFFER = re.compile(r"(^|\.)(position_ids|token_type_ids|inv_freq|masked_bias|num_batches_tracked|attn\.bias)$")
"""Constants that older versions of Transformers saved."""
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model as its files hold it."""

    model: PreTrainedModel
    """In float32 and evaluation mode."""
    has_head: bool
    """Whether the head for the task came from the files. Otherwise it is random, drawn with seed 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """What the files of a model hold otherwise than its class has it."""

    missing: frozenset[str]
    """Tensors of the model that the files lack."""
    unexpected: frozenset[str]
    """Tensors in the files that the model lacks."""
    mismatched: frozenset[str]
    """Tensors that have another shape in the files."""

    def in_head(self, body: str) -> bool:
        """Whether any tensor of the head is missing or of another shape."""
        return any(not name.startswith(body) for name in (*self.missing, *self.mismatched))


def load_checkpoint(
    source: str, config: PretrainedConfig, *, task: str, trust_remote_code: bool = False, revision: str | None = None
) -> Checkpoint:
    """The model of a folder or Hub id, from safetensors, as float32 and in evaluation mode.

    Files may have another head than the task's, or none; then the task's head is random, drawn with seed 0. They may
    lack a pooler, and hold one that is not read. Everything else must be there, in its shape, and nothing more.

    Args:
        source: folder or Hub id.
        config: its config; becomes the model's.
        task: decides the head.
        trust_remote_code: run code that comes with the model.
        revision: branch, tag or commit on the Hub.

    Raises:
        InvalidConfigError: if the files cannot be read, or hold another model than the config describes.
        UnsupportedModelError: if the task is not handled, or the weights are quantized.
    """
    files = weight_files(source, config, revision=revision)
    stored = read_headers(source, files)
    names: dict[str, str] = {}
    model_class: Any = task_named(task).auto_class
    if type(config).__module__.startswith("transformers."):
        described = build_on_meta(config, task)
        _require_stacks(described, task_named(task))
        _require_like_size(described, stored, source)
        model_class = type(described)
        names = without_wrappers(stored, described.state_dict(), base=f"{described.base_model_prefix}.")
    options: dict[str, Any] = (
        {"trust_remote_code": trust_remote_code} if model_class is task_named(task).auto_class else {}
    )
    if names:
        _say_renamed(names, source)
        weights = {names.get(name, name): tensor for name, tensor in read_weights(files).items()}
        model, misfit = _load(model_class, None, config, {**options, "state_dict": weights}, source=source)
    else:
        model, misfit = _load(model_class, source, config, {**options, "revision": revision}, source=source)
    plain = {names.get(name, name): item for name, item in stored.items()}
    has_head = _require_fitting(model, misfit, task=task, source=source, stored=plain)
    require_finite(model, source)
    if has_head:
        task_named(task).require_sound_head(model.config)
    return Checkpoint(model=model, has_head=has_head)


def _load(
    model_class: Any, name: str | None, config: PretrainedConfig, options: Mapping[str, Any], *, source: str
) -> tuple[PreTrainedModel, Misfit]:
    with torch.random.fork_rng(devices=[]), _unreported():
        torch.manual_seed(0)
        try:
            model, found = model_class.from_pretrained(
                name,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **options,
            )
        except BUILD_ERRORS as error:
            raise not_loaded(source, error) from error
    model.float()
    model.eval()
    mismatched = (item if isinstance(item, str) else item[0] for item in found["mismatched_keys"])  # 4.57, 5
    return model, Misfit(
        missing=frozenset(found["missing_keys"]),
        unexpected=frozenset(name for name in found["unexpected_keys"] if not _BUFFER.search(name)),
        mismatched=frozenset(mismatched),
    )


@contextlib.contextmanager
def _unreported() -> Iterator[None]:
    """Keep Transformers' own table of what does not fit from the terminal: what matters of it becomes an error."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)


def _require_fitting(
    model: PreTrainedModel, misfit: Misfit, *, task: str, source: str, stored: Mapping[str, Stored]
) -> bool:
    """Refuse what does not fit; else whether the head came from the files."""
    has_own_body = model.base_model is not model
    is_headless_class = not has_own_body and not task_named(task).has_two_stacks  # a T5 with its head has no inner body
    body = f"{model.base_model_prefix}." if has_own_body else ""
    named = model.config.architectures or []
    is_declared = not is_headless_class and (task_named(task).holds_head(model.config) or type(model).__name__ in named)
    declares_other = bool(named) and not is_declared and not _is_bare(model.config)

    def may_differ(name: str) -> bool:
        return not is_declared and (not name.startswith(body) or bool(_POOLER.search(name)))

    faults = {
        "missing tensors": sorted(name for name in misfit.missing if not may_differ(name)),
        "tensors of another shape": sorted(
            _shapes(name, model, stored) for name in misfit.mismatched if not may_differ(name)
        ),
        "unexpected tensors": sorted(
            name for name in misfit.unexpected if not _is_of_another_class(name, model, is_declared)
        ),
    }
    if any(faults.values()):
        what = "; ".join(f"{kind}: {listed(names, limit=3)}" for kind, names in faults.items() if names)
        raise InvalidConfigError(
            f"The weight files of {one_line(source, limit=120)} must hold the {type(model).__name__} that its "
            "config.json describes",
            what,
            "Save the whole model again with save_pretrained, or correct config.json",
        )
    if not is_headless_class and not is_declared and not any(hasattr(transformers, name) for name in named):
        _refuse_unnamed_head(model, misfit, body, source=source)
    is_complete = has_own_body and not (declares_other or misfit.in_head(body))
    has_head = not is_headless_class and (is_declared or is_complete)
    return has_head or task_named(task).encodes_texts


def _refuse_unnamed_head(model: PreTrainedModel, misfit: Misfit, body: str, *, source: str) -> None:
    """Refuse a head in the files of which config.json does not say whether it is the task's."""
    named = model.config.architectures
    head = [name for name in model.state_dict() if not name.startswith(body)]
    if misfit.missing.intersection(head) or not (named or misfit.mismatched.intersection(head)):
        return
    kind = type(model).__name__
    raise InvalidConfigError(
        f"config.json of {one_line(source, limit=120)} must name the class of the head in the weight files",
        f"Transformers has no class of its architectures {shown(named)}; the files hold {listed(head, limit=3)}",
        f"Set architectures to ['{kind}'] and id2label to its classes to use that head, or save the model without it "
        "(AutoModel) to train a new one",
    )


def _shapes(name: str, model: PreTrainedModel, stored: Mapping[str, Stored]) -> str:
    """A tensor that has another shape in the files, with both where they are known by this name."""
    base = f"{model.base_model_prefix}."
    found = next((stored[key] for key in (name, name.removeprefix(base), base + name) if key in stored), None)
    return f"{name} {found.shape if found else ''} for {tuple(model.state_dict()[name].shape)}"


def _is_bare(config: PretrainedConfig) -> bool:
    """Whether the config names a class without any head."""
    return all(name.endswith("Model") and not name.endswith("LMHeadModel") for name in config.architectures or ())


def _is_of_another_class(name: str, model: PreTrainedModel, is_declared: bool) -> bool:
    """Whether a tensor that the model lacks belongs to the head of another class, or is a pooler that is not read."""
    if _POOLER.search(name):
        return True
    inner = name.removeprefix(f"{model.base_model_prefix}.")
    is_in_body = inner != name or inner.split(".")[0] in dict(model.base_model.named_children())
    return not is_declared and not is_in_body


def _require_stacks(model: PreTrainedModel, task: Task) -> None:
    """Pass if a model has an encoder and a decoder where its task needs both, and one of them elsewhere."""
    has_both = "decoder_input_ids" in inspect.signature(model.forward).parameters
    if has_both and not task.has_two_stacks:
        raise UnsupportedModelError(
            f"A teacher for {task.name} must have one stack: an encoder, or a decoder",
            f"{type(model).__name__} has both",
            "Choose an encoder such as BERT, or a decoder such as GPT-2 or Llama",
        )
    if task.has_two_stacks and not has_both:
        raise UnsupportedModelError(
            f"A teacher for {task.name} must read with an encoder and write with a decoder",
            f"{type(model).__name__} has one stack",
            "Choose a T5, BART or Marian",
        )


def _require_like_size(model: PreTrainedModel, stored: Mapping[str, Stored], source: str) -> None:
    """Refuse a config whose model is far larger than its files, before memory is taken for it."""
    described, held = model.num_parameters(), num_elements(stored)
    if described > 2 * held + _SPARE:
        raise InvalidConfigError(
            f"The weight files of {one_line(source, limit=120)} must hold the model that its config.json describes",
            f"config.json describes {described:,} parameters; the files hold {held:,}",
            "Correct the sizes in config.json, such as vocab_size, hidden_size and num_hidden_layers",
        )


def _say_renamed(names: Mapping[str, str], source: str) -> None:
    name, plain = next(iter(sorted(names.items())))
    _LOGGER.warning(
        "the weights of %s were saved inside a wrapper: the names of %d tensors are read without it (%s as %s)",
        one_line(source, limit=120),
        len(names),
        one_line(name, limit=100),
        one_line(plain, limit=100),
    )
