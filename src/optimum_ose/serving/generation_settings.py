"""How a folder's model writes: `generation_config.json`, read and checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.serving.folder import has_file, read_object
from optimum_ose.wording import listed, shown

FILE = "generation_config.json"
_DEFAULT_LENGTH = 21
"""Tokens of what is written, the start token among them, where no file names a number: as in Transformers 5."""
MOST_BEAMS = 64
"""Beginnings that are kept, at most."""
_CHANGING: Mapping[str, tuple[Any, ...]] = {
    "do_sample": (False,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0.0,),
    "encoder_repetition_penalty": (1.0,),
    "encoder_no_repeat_ngram_size": (0,),
    "guidance_scale": (1.0,),
    "penalty_alpha": (0.0,),
    "renormalize_logits": (False,),
    "sequence_bias": (),
    "force_words_ids": (),
    "constraints": (),
    "exponential_decay_length_penalty": (),
    "stop_strings": (),
    "watermarking_config": (),
    "token_healing": (False,),
    "dola_layers": (),
}
"""Settings that change what is written and are not handled, with the values that change nothing."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """How tokens are chosen."""

    start_id: int
    """The token with which what is written begins."""
    end_ids: tuple[int, ...] = ()
    """Tokens that end it."""
    pad_id: int = 0
    """Fills up what has ended."""
    num_beams: int = 1
    """Beginnings that are kept; 1: the most probable token each time."""
    max_length: int = _DEFAULT_LENGTH
    """Tokens at most, the start token among them."""
    min_length: int = 0
    """Tokens at least, the start token among them, before the end."""
    min_new_tokens: int = 0
    """The same without the start token."""
    length_penalty: float = 1.0
    """Exponent of the length by which the score of a beam is divided."""
    early_stopping: bool | Literal["never"] = False
    """Whether beams end as soon as there are enough of them; "never": only when none can become better."""
    no_repeat_ngram_size: int = 0
    """So many tokens on end come once only; 0: no limit."""
    repetition_penalty: float = 1.0
    """By which the score of a token that was written before is divided."""
    first_id: int | None = None
    """The token after the start token, whatever the model says."""
    last_id: int | None = None
    """The token at the maximum length, whatever the model says."""
    banned: tuple[int, ...] = ()
    """Tokens that are never written."""
    banned_first: tuple[int, ...] = ()
    """Tokens that do not come first."""


def read_generation(folder: Path, config: Mapping[str, Any]) -> GenerationSettings:
    """What `generation_config.json` of a folder says, and `config.json` where it says nothing.

    Raises:
        InvalidConfigError: if a value is of another kind, or the start token is missing.
        UnsupportedModelError: if it asks for what is not handled, such as sampling.
    """
    return generation_settings(read_object(folder, FILE) if has_file(folder, FILE) else {}, config)


def generation_settings(given: Mapping[str, Any], config: Mapping[str, Any]) -> GenerationSettings:
    """The settings that the contents of the two files make; see `read_generation`."""
    found = {name: value for name, value in {**config, **given}.items() if value is not None}
    unhandled = [f"{name}={shown(found[name])}" for name in _CHANGING if name in found and not _is_idle(name, found)]
    if unhandled:
        raise UnsupportedModelError(
            f"{FILE} may ask for the most probable token or for beams",
            f"it has {listed(unhandled, limit=5)}",
            "Remove these settings from it",
        )
    start = _token(found, "decoder_start_token_id")
    if start is None:
        raise InvalidConfigError(
            f"{FILE} must name the token with which a text begins", "it has no decoder_start_token_id", "Set it there"
        )
    first = _token(found, "forced_bos_token_id")
    return GenerationSettings(
        start_id=start,
        end_ids=_tokens(found, "eos_token_id"),
        pad_id=_token(found, "pad_token_id") or 0,
        num_beams=_number(found, "num_beams", 1, lambda value: 1 <= value <= MOST_BEAMS, f"1 to {MOST_BEAMS}"),
        max_length=_max_length(found),
        min_length=_number(found, "min_length", 0, lambda value: value >= 0, "0 or more"),
        min_new_tokens=_number(found, "min_new_tokens", 0, lambda value: value >= 0, "0 or more"),
        length_penalty=_fraction(found, "length_penalty"),
        early_stopping=_early_stopping(found),
        no_repeat_ngram_size=_number(found, "no_repeat_ngram_size", 0, lambda value: value >= 0, "0 or more"),
        repetition_penalty=_fraction(found, "repetition_penalty", positive=True),
        first_id=first,
        last_id=(_tokens(found, "forced_eos_token_id") or (None,))[0],
        banned=(*_tokens(found, "suppress_tokens"), *_bad_words(found)),
        banned_first=_tokens(found, "begin_suppress_tokens"),
    )


def _is_idle(name: str, found: Mapping[str, Any]) -> bool:
    return found[name] in _CHANGING[name] or found[name] in ([], {}, ())


def _max_length(found: Mapping[str, Any]) -> int:
    if "max_new_tokens" in found:
        return 1 + _number(found, "max_new_tokens", 1, lambda value: value >= 1, "1 or more")
    return _number(found, "max_length", _DEFAULT_LENGTH, lambda value: value >= 2, "2 or more")


def _number(found: Mapping[str, Any], name: str, default: int, holds: Callable[[int], bool], wanted: str) -> int:
    value = found.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not holds(value):
        raise _refusal(name, f"a whole number, {wanted}", value)
    return value


def _fraction(found: Mapping[str, Any], name: str, *, positive: bool = False) -> float:
    value = found.get(name, 1.0)
    if not isinstance(value, int | float) or isinstance(value, bool) or (positive and value <= 0):
        raise _refusal(name, "a number above 0" if positive else "a number", value)
    return float(value)


def _early_stopping(found: Mapping[str, Any]) -> bool | Literal["never"]:
    value = found.get("early_stopping", False)
    if value == "never":
        return "never"
    if not isinstance(value, bool):
        raise _refusal("early_stopping", 'true, false or "never"', value)
    return value


def _token(found: Mapping[str, Any], name: str) -> int | None:
    ids = _tokens(found, name)
    return ids[0] if ids else None


def _tokens(found: Mapping[str, Any], name: str) -> tuple[int, ...]:
    value = found.get(name)
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in ids):
        raise _refusal(name, "the id of a token, or a list of these", value)
    return tuple(ids)


def _bad_words(found: Mapping[str, Any]) -> tuple[int, ...]:
    words = found.get("bad_words_ids") or []
    if not isinstance(words, list) or not all(isinstance(word, list) and len(word) == 1 for word in words):
        raise UnsupportedModelError(
            f"bad_words_ids in {FILE} may ban single tokens", f"it is {shown(words)}", "Remove longer words from it"
        )
    return tuple(token for word in words for token in _tokens({"bad_words_ids": word}, "bad_words_ids"))


def _refusal(name: str, wanted: str, value: object) -> InvalidConfigError:
    return InvalidConfigError(f"{name} in {FILE} must be {wanted}", f"it is {shown(value)}", "Correct the file")
