"""A trial forward pass of a model that was just loaded: it finds the faults of a config that loading does not."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.model_inputs import takes_choices
from optimum_ose.modeling.prediction import evaluating
from optimum_ose.wording import one_line

_TEXTS = ("a", "a b c")
"""Of two lengths, so that one is padded."""


def is_pair(model: PreTrainedModel) -> bool:
    """Whether a model has a decoder of its own, which writes of what an encoder has read."""
    return bool(getattr(model.config, "is_encoder_decoder", False)) and model.can_generate()


def require_answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Pass if a model answers two short texts.

    Args:
        model: as it was loaded; its training flags stay.
        tokenizer: has a padding token.

    Raises:
        UnsupportedModelError: with what the forward pass raised.
    """
    try:
        batch = tokenizer(list(_TEXTS), padding=True, return_tensors="pt")
        given = {name: item[:, None] if takes_choices(model) else item for name, item in batch.to(model.device).items()}
        if is_pair(model):
            given["decoder_input_ids"] = batch["input_ids"]
        if batch["input_ids"].numel():
            with evaluating(model):
                model(**given)
    except (*BUILD_ERRORS, NotImplementedError, NameError) as error:
        raise UnsupportedModelError(
            f"{type(model).__name__} must answer texts that its tokenizer has prepared",
            f"it fails with {type(error).__name__}: {one_line(error, limit=200)}",
            "Check config.json and the tokenizer's files against those of the model as it was trained",
        ) from error
