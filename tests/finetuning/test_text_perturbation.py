"""Claims about proposals of a masked language model."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.finetuning.perturbation import MaskedLMReplacement

TEXTS = ("the cat 7 ?", "one old saw", "this tiny red fox saw", "? ?")


@pytest.fixture(scope="module")
def masked_lm(tokenizer):
    """A language model of random weights whose favorite everywhere is "owl", then "bee"."""
    config = BertConfig(
        vocab_size=len(tokenizer) + 7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForMaskedLM(config).eval()
    with torch.no_grad():
        for bonus, name in ((100.0, "owl"), (50.0, "bee"), (1000.0, "##s"), (1000.0, "[CLS]")):
            model.cls.predictions.bias[tokenizer.get_vocab()[name]] += bonus
        model.cls.predictions.bias[len(tokenizer) :] += 1e6
    return model


def replaced(model, tokenizer, *, texts=TEXTS, seed=0, **settings):
    rows = [dict(tokenizer(text)) for text in texts]
    tau = MaskedLMReplacement(model, tokenizer, **settings)
    return rows, tau(rows, generator=np.random.default_rng(seed))


def test_words_give_way_to_what_the_language_model_proposes_first(masked_lm, tokenizer):
    names = tokenizer.get_vocab()
    rows, new = replaced(masked_lm, tokenizer, probability=1.0, num_proposals=2, batch_size=2)
    best = {names["owl"], names["bee"]}
    for row, made in zip(rows[1:3], new[1:3], strict=True):
        assert set(made["input_ids"][1:-1]) <= best
        assert (made["input_ids"][0], made["input_ids"][-1]) == (row["input_ids"][0], row["input_ids"][-1])
        assert {**made, "input_ids": None} == {**row, "input_ids": None}


def test_numbers_give_way_to_numbers_and_punctuation_stays(masked_lm, tokenizer):
    rows, new = replaced(masked_lm, tokenizer, probability=1.0)
    assert tokenizer.convert_ids_to_tokens(new[0]["input_ids"][3]) in {"8", "9"}
    assert new[0]["input_ids"][4] == rows[0]["input_ids"][4]
    assert new[3] == rows[3]


def test_a_word_is_never_proposed_for_itself(masked_lm, tokenizer):
    _, (made,) = replaced(masked_lm, tokenizer, texts=["the owl"], probability=1.0, num_proposals=1)
    assert tokenizer.decode(made["input_ids"], skip_special_tokens=True) == "owl bee"


def test_labels_of_tokens_stay_at_their_places(masked_lm, tokenizer):
    row = dict(tokenizer("the cat"), labels=[-100, 0, 1, -100])
    tau = MaskedLMReplacement(masked_lm, tokenizer, probability=1.0)
    (made,) = tau([row], generator=np.random.default_rng(0))
    assert made["labels"] == row["labels"]
    assert made["input_ids"] != row["input_ids"]


def test_one_seed_gives_one_result(masked_lm, tokenizer):
    one, same, other = (replaced(masked_lm, tokenizer, seed=seed, probability=0.5)[1] for seed in (1, 1, 2))
    assert one == same != other


def test_a_model_of_another_vocabulary_is_refused(make_model, tokenizer):
    model = BertForMaskedLM(BertConfig(vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    with pytest.raises(
        InvalidConfigError, match=r"need a tokenizer with a mask token .*; the mask token is .* Use the"
    ):
        MaskedLMReplacement(model, tokenizer)
