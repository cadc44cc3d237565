"""What `config.json` and `tokenizer_config.json` must hold, checked before anything is built on them."""

from collections.abc import Mapping
from typing import Any

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serving.tasks.parts.labels import PROBLEM_TYPES
from optimum_ose.wording import shown

_LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
"""Names under which model types keep the size of their position table."""
_TOKENS = ("pad_token", "mask_token", "cls_token", "unk_token", "eos_token", "sep_token", "bos_token")
_MAX_INTEGER = 2**31
_UNLIMITED = 10**6
"""A length from here on is transformers' way to say that there is none."""


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse a `config.json` with a value of the wrong kind.

    Raises:
        InvalidConfigError: naming the file, the key and the value.
    """
    file = "config.json"
    architectures = config.get("architectures")
    if architectures is not None and not (isinstance(architectures, list) and all(map(_is_text, architectures))):
        raise _refusal(file, "architectures", "a list of class names", architectures)
    names = config.get("id2label")
    if names is not None and not (isinstance(names, dict) and all(key.isascii() and key.isdecimal() for key in names)):
        raise _refusal(file, "id2label", "an object with a name for each class number", names)
    if names is not None and {int(key) for key in names} != set(range(len(names))):
        raise _refusal(file, "id2label", f"an object with the class numbers 0 to {len(names) - 1}", names)
    if config.get("problem_type") not in (None, *PROBLEM_TYPES):
        raise _refusal(file, "problem_type", f"one of {', '.join(PROBLEM_TYPES)}", config["problem_type"])
    for key in ("pad_token_id", *_LENGTHS):
        if not (config.get(key) is None or (_is_number(config[key]) and abs(config[key]) < _MAX_INTEGER)):
            raise _refusal(file, key, "a whole number", config[key])


def check_tokenizer_settings(settings: Mapping[str, Any]) -> None:
    """Refuse a `tokenizer_config.json` with a value of the wrong kind.

    Raises:
        InvalidConfigError: naming the file, the key and the value.
    """
    file = "tokenizer_config.json"
    for key in _TOKENS:
        token = settings.get(key)
        if not (token is None or _is_text(token.get("content") if isinstance(token, dict) else token)):
            raise _refusal(file, key, "a token, as text or as an object with content", token)
    if settings.get("truncation_side") not in (None, "left", "right"):
        raise _refusal(file, "truncation_side", "left or right", settings["truncation_side"])
    limit = settings.get("model_max_length")
    if not (limit is None or (_is_number(limit) and limit > 0)):
        raise _refusal(file, "model_max_length", "a positive number of tokens", limit)


def stated_length(config: Mapping[str, Any], settings: Mapping[str, Any]) -> int | None:
    """Tokens per text by both files, the smaller of the two; None if neither limits them."""
    found = [*(config.get(key) for key in _LENGTHS), settings.get("model_max_length")]
    limits = [int(limit) for limit in found if limit is not None and 0 < limit < _UNLIMITED]
    return min(limits, default=None)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    """Whether this is a whole number; JSON may write a large one as 1e+30."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _refusal(file: str, key: str, wanted: str, value: object) -> InvalidConfigError:
    return InvalidConfigError(f"{key} in {file} must be {wanted}", f"it is {shown(value)}", "Export the model again")
