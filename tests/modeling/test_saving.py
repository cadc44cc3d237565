"""A saved tokenizer is read by both majors of transformers."""

import json
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from optimum_ose.modeling.saving import save_tokenizer
from themes import word_tokenizer

TEXT = "a <first> sentence"


def saved(tokenizer: PreTrainedTokenizerFast, folder: Path) -> tuple[dict[str, object], PreTrainedTokenizerFast]:
    save_tokenizer(tokenizer, folder)
    return json.loads((folder / "tokenizer_config.json").read_text()), AutoTokenizer.from_pretrained(folder)


def test_a_tokenizer_without_a_class_of_its_own_gets_the_name_that_both_know(tmp_path: Path) -> None:
    settings, again = saved(word_tokenizer(), tmp_path)
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert dict(again(TEXT)) == dict(word_tokenizer()(TEXT))


def test_added_special_tokens_are_kept_in_the_form_that_both_know(tmp_path: Path) -> None:
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<first>", "<second>"]})
    settings, again = saved(tokenizer, tmp_path)
    assert settings["additional_special_tokens"] == ["<first>", "<second>"]
    assert "extra_special_tokens" not in settings
    assert again.all_special_tokens == tokenizer.all_special_tokens
    assert dict(again(TEXT)) == dict(tokenizer(TEXT))
    assert again.convert_tokens_to_ids("<first>") in again(TEXT)["input_ids"]
