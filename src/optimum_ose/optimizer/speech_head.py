"""Fits a head that answers with characters to its tokenizer."""

from typing import Any

from transformers import PretrainedConfig

from optimum_ose.exceptions import InvalidConfigError


def fit_tokens(config: PretrainedConfig, processor: Any, *, has_head: bool) -> None:
    """Give a new head an output for each character, in place; its loss is a mean, and finite where a text is too long.

    Args:
        config: of the model.
        processor: with the tokenizer.
        has_head: whether the head is trained.

    Raises:
        InvalidConfigError: if a trained head has another number of outputs, or another blank.
    """
    tokenizer = processor.tokenizer
    wanted = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    found = {name: getattr(config, name, None) for name in wanted}
    if has_head and found != wanted:
        raise InvalidConfigError(
            "The head must have an output for each character of vocab.json, and the padding token as its blank",
            f"config.json says {found}, the tokenizer {wanted}",
            "Give the tokenizer that the model was trained with",
        )
    if not has_head:
        for name, value in {**wanted, "ctc_zero_infinity": True, "ctc_loss_reduction": "mean"}.items():
            setattr(config, name, value)
