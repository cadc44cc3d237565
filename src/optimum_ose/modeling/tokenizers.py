"""Loads the tokenizer of a model, and sees to it that it fits: a fast form, ids within the embeddings, one padding
token.
"""

import logging

from transformers import (
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError, is_panic
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.length import usable_length
from optimum_ose.modeling.source import damaged, not_loaded, read_object, require_source
from optimum_ose.silence import STANDARD_ERROR, native_silence
from optimum_ose.tasks import task_named
from optimum_ose.wording import first_line, listed, one_line, shown

_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_SIDES = ("left", "right")
_RARE_TEXT = "a \U0010fffd"
"""Holds a character that is in no vocabulary."""
_LOGGER = logging.getLogger(__name__)


def load_tokenizer(
    source: str, *, trust_remote_code: bool = False, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or Hub id.

    Raises:
        InvalidConfigError: if there is none, or its files cannot be read.
        UnsupportedModelError: if it has no fast form, which serving needs.
    """
    source = require_source(source)
    for name in _FILES:
        read_object(source, name, revision=revision)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, trust_remote_code=trust_remote_code, revision=revision
        )
    except OSError as error:
        raise not_loaded(source, error) from error
    except BUILD_ERRORS as error:
        raise _unreadable(source, error) from error
    except Exception as error:
        if type(error) is Exception:  # what the library tokenizers makes of every file that it cannot read
            raise _unreadable(source, error) from error
        raise
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # transformers 5 makes an empty tokenizer where the files are missing, and every word becomes unknown.
        raise not_loaded(source, "its tokenizer has no vocabulary; the tokenizer files may be missing")
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UnsupportedModelError(
            "The tokenizer must have a fast form, a tokenizer.json, from which the student is served",
            f"{type(tokenizer).__name__} of {one_line(source, limit=120)} has none",
            "Choose a teacher whose tokenizer has one",
        )
    _require_sound_settings(source, tokenizer)
    _require_encoding(source, tokenizer)
    return tokenizer


def require_fitting_tokenizer(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Pass if every id that a tokenizer makes has a row in the model's embeddings, and a text has room for a word.

    Raises:
        InvalidConfigError: naming the sizes of vocabulary and embeddings, or the number of positions.
    """
    rows = getattr(config.get_text_config(), "vocab_size", None)
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if isinstance(rows, int) and largest >= rows:
        beyond = [token for token, index in tokenizer.get_vocab().items() if index >= rows]
        raise InvalidConfigError(
            "The tokenizer must not be larger than the model's embeddings",
            f"it has ids up to {largest:,}, and the embeddings have {rows:,} rows (vocab_size): {len(beyond):,} tokens "
            f"such as {listed(beyond, limit=3)} have none",
            "Give the tokenizer that the model was trained with, or resize the embeddings and train them",
        )
    limit, special = usable_length(config, tokenizer), tokenizer.num_special_tokens_to_add(pair=False)
    if limit is not None and limit <= special:
        raise InvalidConfigError(
            "A text must have room for a word beside its special tokens",
            f"the model and its tokenizer take {limit} tokens, {special} of them special",
            "Correct max_position_embeddings in config.json, or model_max_length in tokenizer_config.json",
        )


def settle_padding(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, *, task: str) -> None:
    """Make one padding token known to model and tokenizer, in place, before the model is built.

    A tokenizer without a padding token gets the config's, else its end of text. The config gets the tokenizer's where
    it has none, and where a decoder classifies: its head reads the last token that is not padding. Such decoders are
    padded on the right, where padding changes neither positions nor what a token sees; XLNet's classifiers, which read
    the last place, on the left.

    Raises:
        InvalidConfigError: if neither has a padding token or an end of text.
    """
    text = config.get_text_config()
    named = getattr(text, "pad_token_id", None)
    stated = named if isinstance(named, int) and 0 <= named <= max(tokenizer.get_vocab().values()) else None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = _padding_token(tokenizer, stated, getattr(text, "eos_token_id", None))
    reads_last = is_decoder(config) and not task_named(task).continues_texts
    if reads_last:
        tokenizer.padding_side = "right"
    if config.model_type == "xlnet" and task_named(task).has_problem_type:
        tokenizer.padding_side = "left"
    if stated is not None and not (reads_last and stated != tokenizer.pad_token_id):
        return
    if named is not None:
        _LOGGER.warning(
            "pad_token_id of config.json is %s; that of the tokenizer, %d, is used",
            shown(named),
            tokenizer.pad_token_id,
        )
    for holder in (config, text):
        holder.pad_token_id = tokenizer.pad_token_id


def _padding_token(tokenizer: PreTrainedTokenizerBase, stated: int | None, end: object) -> str:
    found = tokenizer.convert_ids_to_tokens(stated) if stated is not None else None
    token = found or tokenizer.eos_token or (tokenizer.convert_ids_to_tokens(end) if isinstance(end, int) else None)
    if not isinstance(token, str):
        raise InvalidConfigError(
            "A tokenizer must have a padding token, or an end of text that can stand for it",
            f"{type(tokenizer).__name__} has neither",
            "Set pad_token in tokenizer_config.json",
        )
    _LOGGER.warning("the tokenizer has no padding token: %s is used", shown(token))
    return token


def is_decoder(config: PretrainedConfig) -> bool:
    """Whether the model type reads from left to right only. XLNet does not, and its classifiers read the last place."""
    kind = config.model_type
    is_causal = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return is_causal and kind != "xlnet"


def _require_encoding(source: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that fails on every text, as one does whose template names a token that it does not have."""
    try:
        with native_silence(STANDARD_ERROR):
            tokenizer([_RARE_TEXT], ["b"], truncation=True, max_length=8)
            tokenizer([_RARE_TEXT], truncation=True, max_length=8)
    except BaseException as error:
        if not (isinstance(error, BUILD_ERRORS) or type(error) is Exception or is_panic(error)):
            raise
        raise _unreadable(source, error, deed="encoding a short text") from error


def _require_sound_settings(source: str, tokenizer: PreTrainedTokenizerBase) -> None:
    length = tokenizer.model_max_length
    if isinstance(length, bool) or not isinstance(length, int | float) or not (length >= 1 and length % 1 == 0):
        raise damaged(
            source,
            "tokenizer_config.json",
            f"model_max_length is {shown(length)}",
            remedy="Give a whole number of tokens in tokenizer_config.json",
        )
    made = tokenizer.model_input_names
    if isinstance(made, str) or "input_ids" not in made:
        raise damaged(
            source,
            "tokenizer_config.json",
            f"model_input_names is {shown(made)}",
            remedy="Give a list that holds input_ids in tokenizer_config.json",
        )
    for name in ("padding_side", "truncation_side"):
        side = getattr(tokenizer, name)
        if side not in _SIDES:
            raise damaged(
                source,
                "tokenizer_config.json",
                f"{name} is {shown(side)}",
                remedy=f"Give {' or '.join(_SIDES)} in tokenizer_config.json",
            )


def _unreadable(source: str, error: BaseException, *, deed: str = "loading it") -> InvalidConfigError:
    reason = f"{deed} failed: {type(error).__name__}: {first_line(error)}"
    return damaged(source, "The tokenizer", reason, remedy="Copy the tokenizer files from the original model")
