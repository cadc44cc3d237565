"""Model and tokenizer agree on the padding token, and on how long a text may be."""

from typing import Any

import pytest
from transformers import (
    BertConfig,
    DebertaV2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MPNetConfig,
    OPTConfig,
    PretrainedConfig,
    Qwen2Config,
    RobertaConfig,
    T5Config,
    ViTConfig,
    XLNetConfig,
)

from export.tiny_text import WORDS, tiny_tokenizer
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.length import usable_length
from optimum_ose.modeling.tokenizers import require_fitting_tokenizer, settle_padding

TASK = "text-classification"
DECODERS = [GPT2Config, LlamaConfig, MistralConfig, Qwen2Config, GPTNeoXConfig]


def tokenizer(**settings: Any) -> Any:
    made = tiny_tokenizer(segments=False)
    for name, value in settings.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoder_takes_its_tokenizer_s_padding_token(kind: type[PretrainedConfig]) -> None:
    config, made = kind(vocab_size=len(WORDS), pad_token_id=None), tokenizer(padding_side="left")
    settle_padding(config, made, task=TASK)
    assert config.pad_token_id == made.pad_token_id == 0
    assert made.padding_side == "right"


@pytest.mark.parametrize("kind", DECODERS)
def test_without_a_padding_token_the_end_of_text_stands_for_it(
    kind: type[PretrainedConfig], caplog: pytest.LogCaptureFixture
) -> None:
    config, made = kind(vocab_size=len(WORDS), pad_token_id=None), tokenizer(pad_token=None, eos_token="[SEP]")
    settle_padding(config, made, task=TASK)
    assert (config.pad_token_id, made.pad_token) == (3, "[SEP]")
    assert "no padding token" in caplog.text


def test_a_padding_token_that_only_the_config_names_is_used() -> None:
    config, made = BertConfig(vocab_size=len(WORDS), pad_token_id=4), tokenizer(pad_token=None)
    settle_padding(config, made, task=TASK)
    assert (config.pad_token_id, made.pad_token_id) == (4, 4)


@pytest.mark.parametrize("beyond", [99, -1])
def test_a_padding_id_that_is_no_token_gives_way(beyond: int) -> None:
    config, made = LlamaConfig(vocab_size=len(WORDS), pad_token_id=beyond), tokenizer()
    settle_padding(config, made, task=TASK)
    assert config.pad_token_id == 0


def test_a_decoder_s_head_reads_what_its_tokenizer_does_not_pad(caplog: pytest.LogCaptureFixture) -> None:
    config, made = LlamaConfig(vocab_size=len(WORDS), pad_token_id=5), tokenizer()
    settle_padding(config, made, task=TASK)
    assert config.pad_token_id == 0
    assert "pad_token_id of config.json is 5" in caplog.text


def test_an_encoder_keeps_the_padding_id_that_its_positions_depend_on() -> None:
    config, made = RobertaConfig(vocab_size=len(WORDS), pad_token_id=1), tokenizer(padding_side="left")
    settle_padding(config, made, task=TASK)
    assert (config.pad_token_id, made.pad_token_id, made.padding_side) == (1, 0, "left")


def test_a_model_that_nothing_can_pad_is_refused() -> None:
    made = tokenizer(pad_token=None, eos_token=None)
    with pytest.raises(InvalidConfigError, match="must have a padding token, or an end of text"):
        settle_padding(GPT2Config(vocab_size=len(WORDS), pad_token_id=None, eos_token_id=None), made, task=TASK)


def test_the_end_of_text_that_only_the_config_names_pads_too() -> None:
    config, made = GPT2Config(vocab_size=len(WORDS), pad_token_id=None, eos_token_id=3), tokenizer(pad_token=None)
    settle_padding(config, made, task=TASK)
    assert (config.pad_token_id, made.pad_token) == (3, "[SEP]")


def test_xlnet_is_padded_on_the_left_because_its_classifier_reads_the_last_place() -> None:
    made = tokenizer(padding_side="right")
    settle_padding(XLNetConfig(vocab_size=len(WORDS), pad_token_id=0), made, task=TASK)
    assert made.padding_side == "left"


@pytest.mark.parametrize(
    ("config", "length"),
    [
        (BertConfig(max_position_embeddings=40), 40),
        (RobertaConfig(max_position_embeddings=40), 38),
        (RobertaConfig(max_position_embeddings=40, pad_token_id=0), 39),
        (MPNetConfig(max_position_embeddings=40, pad_token_id=0), 38),
        (GPT2Config(n_positions=40), 40),
        (LlamaConfig(max_position_embeddings=40), 40),
        (DebertaV2Config(max_position_embeddings=40), 40),
        (OPTConfig(max_position_embeddings=40), 40),
        (XLNetConfig(), None),
        (T5Config(), None),
        (ViTConfig(), None),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_a_model_takes_as_many_tokens_as_it_has_positions_for(config: PretrainedConfig, length: int | None) -> None:
    assert usable_length(config) == length
    assert usable_length(config, tokenizer(model_max_length=10**30)) == length
    assert usable_length(config, tokenizer(model_max_length=20)) == 20


def test_embeddings_may_be_larger_than_the_vocabulary_but_not_smaller() -> None:
    require_fitting_tokenizer(BertConfig(vocab_size=len(WORDS) + 7), tokenizer())
    with pytest.raises(
        InvalidConfigError, match=f"ids up to {len(WORDS) - 1}, and the embeddings have {len(WORDS) - 2}"
    ):
        require_fitting_tokenizer(BertConfig(vocab_size=len(WORDS) - 2), tokenizer())
