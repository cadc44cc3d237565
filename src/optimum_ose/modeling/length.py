"""How many tokens a model takes: its positions, and what its tokenizer says."""

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from optimum_ose.exceptions import InvalidConfigError

_NO_LIMIT = 10**6
"""A tokenizer that names no limit names 10^30."""
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length")
"""Names of the number of positions in configs."""
_RELATIVE = frozenset({"t5", "mt5", "umt5", "longt5", "xlnet", "bloom"})
"""Model types whose attention knows distances only, whatever number their config holds."""
_OFFSET = frozenset(
    {
        *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "ibert"),
        *("mpnet", "xmod", "data2vec-text", "luke", "mluke", "esm", "lilt", "markuplm", "layoutlmv3"),
    }
)
"""Model types whose positions begin after the padding id."""
_FIXED_PADDING = {"mpnet": 1}
"""Padding ids that are written in the code of a model type, whatever its config says."""


def usable_length(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> int | None:
    """Tokens of the longest text that a model takes, special tokens included.

    Args:
        config: of the model. RoBERTa and its relatives count positions from after the padding id, so that their first
            positions hold no token.
        tokenizer: its `model_max_length` counts too.

    Returns:
        The number; None if neither limits it, as with relative positions.
    """
    named = getattr(tokenizer, "model_max_length", None)
    limits = [limit for limit in (_positions(config), _whole(named)) if limit is not None and limit < _NO_LIMIT]
    return min(limits, default=None)


def require_countable_length(sequence_length: int, limit: int | None, *, default: int) -> None:
    """Pass if a model can read so many tokens. The default passes with every model.

    Args:
        sequence_length: tokens at which operations are counted and latency is measured.
        limit: tokens that the model takes; None: any number.
        default: what the setting holds where nobody chose it.

    Raises:
        InvalidConfigError: if the model takes fewer.
    """
    if limit is not None and sequence_length > max(limit, default):
        raise InvalidConfigError(
            f"sequence_length must be at most {limit:,}, the tokens that the model takes",
            f"got {sequence_length:,}",
            f"Set sequence_length to {limit:,} or less",
        )


def counts_from_padding(config: PretrainedConfig) -> bool:
    """Whether a model numbers positions from after its padding id, as RoBERTa does: with another id every token would
    have another position.
    """
    return str(getattr(config.get_text_config(), "model_type", "")) in _OFFSET


def _positions(config: PretrainedConfig) -> int | None:
    text = config.get_text_config()
    model_type = str(getattr(text, "model_type", ""))
    if model_type in _RELATIVE:
        return None
    found = next((value for name in _POSITIONS if (value := _whole(getattr(text, name, None)))), None)
    if found is None or model_type not in _OFFSET:
        return found
    padding = _FIXED_PADDING.get(model_type, getattr(text, "pad_token_id", None))
    return max(1, found - (padding if isinstance(padding, int) and padding >= 0 else 1) - 1)


def _whole(value: object) -> int | None:
    """A whole number above 0; -1, None and anything else mean that there is no limit."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 < value < float("inf") else None  # type: ignore[operator, call-overload]
