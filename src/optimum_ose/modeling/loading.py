"""Loads configs, tokenizers and teachers, and says plainly what is wrong where that fails."""

from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.tasks import auto_class


def load_config(source: str, *, trust_remote_code: bool = False, revision: str | None = None) -> PretrainedConfig:
    """The config of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none.
        UnsupportedModelError: if Transformers does not know its model type.
    """
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code, revision=revision)
    except ValueError as error:
        raise UnsupportedModelError(
            "The model type must be one that this transformers version knows",
            f"{source}: {_first_line(error)}",
            "Update transformers, or choose another model",
        ) from error
    except OSError as error:
        raise _not_loaded(source, error) from error
    if not isinstance(config, PretrainedConfig):
        raise _not_loaded(source, ValueError("its config.json describes no Transformers model"))
    return config


def load_tokenizer(
    source: str, *, trust_remote_code: bool = False, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, trust_remote_code=trust_remote_code, revision=revision
        )
    except (OSError, ValueError) as error:
        raise _not_loaded(source, error) from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # transformers 5 makes an empty tokenizer where the files are missing, and every word becomes unknown.
        raise _not_loaded(source, ValueError("its tokenizer has no vocabulary; the tokenizer files may be missing"))
    return tokenizer


def load_teacher(
    source: str,
    config: PretrainedConfig,
    *,
    task: str,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> PreTrainedModel:
    """The model of a folder or Hub id, from safetensors, in evaluation mode. A head that the files lack is drawn
    with seed 0.

    Raises:
        InvalidConfigError: if there is none, or its weights are not safetensors.
        UnsupportedModelError: if the task is not handled.
    """
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision, "use_safetensors": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            model: PreTrainedModel = auto_class(task).from_pretrained(source, config=config, **options)
        except (OSError, ValueError) as error:
            raise _not_loaded(source, error) from error
    model.float()
    model.eval()
    return model


def _not_loaded(source: str, error: Exception) -> InvalidConfigError:
    return InvalidConfigError(
        "--model must be a folder or Hub id with a Transformers model in safetensors and its tokenizer",
        f"loading {source!r} failed: {_first_line(error)}",
        "Check the name, the network and HF_HUB_OFFLINE",
    )


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
