"""Example inputs fit the model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSeq2SeqLM, DistilBertConfig, T5Config

from export.tiny_text import BERT_SIZES, tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.export.example_inputs import example_inputs, input_names

TOKENIZER = tiny_tokenizer()
MODEL = tiny_classifier()


@settings(max_examples=30, deadline=None)
@given(batch_size=st.integers(1, 4), length=st.integers(1, 200), padded=st.booleans(), seed=st.integers(0, 99))
def test_any_shape_gives_inputs_that_the_model_takes(batch_size: int, length: int, padded: bool, seed: int) -> None:
    inputs = example_inputs(
        MODEL,
        TOKENIZER,
        batch_size=batch_size,
        sequence_length=length,
        padded=padded,
        generator=np.random.default_rng(seed),
    )
    shape = (batch_size, min(length, BERT_SIZES["max_position_embeddings"]))
    assert all(tuple(tensor.shape) == shape for tensor in inputs.values())
    assert (inputs["input_ids"][inputs["attention_mask"] == 0] == TOKENIZER.pad_token_id).all()
    assert bool((inputs["attention_mask"] == 0).any()) == (padded and batch_size > 1 and shape[1] >= 3)
    assert MODEL(**inputs).logits.isfinite().all()


def test_inputs_are_those_that_model_and_tokenizer_share_in_the_order_of_the_graph() -> None:
    assert input_names(MODEL, TOKENIZER) == ("input_ids", "attention_mask", "token_type_ids")
    small = DistilBertConfig(vocab_size=20, dim=32, n_layers=1, n_heads=4, hidden_dim=64)
    assert input_names(tiny_classifier(small), TOKENIZER) == ("input_ids", "attention_mask")


def test_a_model_with_a_decoder_of_its_own_is_refused() -> None:
    config = T5Config(vocab_size=20, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4, decoder_start_token_id=0)
    model = AutoModelForSeq2SeqLM.from_config(config)
    with pytest.raises(UnsupportedModelError, match=r"one stack .*; T5For.* and a decoder\. Export an encoder-only"):
        input_names(model, TOKENIZER)
