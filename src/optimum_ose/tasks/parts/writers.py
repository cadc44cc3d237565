"""What a model that writes must say of itself before it teaches."""

from typing import Any

from transformers import PreTrainedModel

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.serving.generation_settings import generation_settings


def settle_writer(model: PreTrainedModel, tokenizer: Preprocessor, max_length: int) -> None:
    """Complete how a model writes, in place: with which token it begins, and after how many tokens it stops.

    Args:
        model: with an encoder and a decoder.
        tokenizer: of the model.
        max_length: tokens at which texts are cut; what is written may be as long, where the model's
            `generation_config` names no length.

    Raises:
        UnsupportedModelError: if the model has only one stack, or its settings ask for sampling.
        InvalidConfigError: if nothing says with which token a text begins, or ends, or which one pads.
    """
    config: Any = model.config
    settings: Any = getattr(model, "generation_config", None)
    if not getattr(config, "is_encoder_decoder", False) or settings is None:
        raise UnsupportedModelError(
            "text2text-generation needs a model that reads with an encoder and writes with a decoder",
            f"{type(model).__name__} has one stack",
            "Choose a T5, BART or Marian; a model that continues texts is for text-generation",
        )
    for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id"):
        own, other = getattr(config, name, None), getattr(settings, name, None)
        if own is None and other is None:
            raise InvalidConfigError(
                f"config.json or generation_config.json must name {name}",
                "neither does",
                "Write the token's id into config.json, as the model was trained with it",
            )
        if own is None:
            setattr(config, name, other)
        if other is None:
            setattr(settings, name, own)
    if not {"max_length", "max_new_tokens"} & settings.to_diff_dict().keys():
        settings.max_length = max_length
        settings._from_model_config = False  # else Transformers may make it anew, without the length
    generation_settings(settings.to_diff_dict(), {})
