"""Claims about batched inference."""

import numpy as np
import pytest
import torch
from transformers import BartConfig, BartForSequenceClassification

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.finetuning.labeling import answer, examine
from optimum_ose.modeling.prediction import predict_logits


@pytest.fixture(scope="module")
def rows(dev):
    return [dict(row) for row in dev.remove_columns("labels")]


def test_answers_come_in_the_order_of_the_rows(labeler, tokenizer, rows):
    together = predict_logits(labeler, rows, tokenizer=tokenizer, batch_size=7)
    for row, logits in zip(rows, together, strict=True):
        with torch.inference_mode():
            alone = labeler(**{name: torch.tensor([values]) for name, values in row.items()}).logits[0]
        np.testing.assert_allclose(logits, alone.numpy(), atol=1e-5)


def test_representations_average_the_last_hidden_state_without_padding(labeler, tokenizer, rows):
    answers = examine(labeler, rows, tokenizer=tokenizer, batch_size=7)
    for row, representation in zip(rows, answers.representations, strict=True):
        with torch.inference_mode():
            states = labeler.bert(**{name: torch.tensor([values]) for name, values in row.items()}).last_hidden_state
        np.testing.assert_allclose(representation, states[0].mean(dim=0).numpy(), atol=1e-5)


def test_both_ways_give_the_same_logits(labeler, tokenizer, rows):
    answers = examine(labeler, rows, tokenizer=tokenizer, batch_size=5)
    np.testing.assert_array_equal(answers.logits, predict_logits(labeler, rows, tokenizer=tokenizer, batch_size=5))
    np.testing.assert_array_equal(answers.logits, answer(labeler, rows, tokenizer=tokenizer, batch_size=5))


def test_every_submodule_keeps_its_training_flag_and_no_draw_is_made(make_model, tokenizer, rows):
    model = make_model(0).train()
    model.bert.embeddings.eval()
    before = [module.training for module in model.modules()]
    state = torch.random.get_rng_state()
    predict_logits(model, rows, tokenizer=tokenizer, batch_size=8)
    assert [module.training for module in model.modules()] == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_labeler_without_hidden_states_is_refused(tokenizer, rows):
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=1,
        decoder_attention_heads=1,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        eos_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.sep_token_id,
        forced_eos_token_id=None,
        num_labels=2,
    )
    plain = [{name: row[name] for name in ("input_ids", "attention_mask")} for row in rows]
    with pytest.raises(UnsupportedModelError, match=r"must return `hidden_states`.*; BartFor.* Use an encoder"):
        examine(BartForSequenceClassification(config), plain, tokenizer=tokenizer, batch_size=4)
