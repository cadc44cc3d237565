"""Words become tokens in one way: joined by spaces, as served texts are."""

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from optimum_ose.data.tokenization import tokenize, word_tokens
from optimum_ose.data.words import first_tokens, word_spans
from tiny_tokenizer import SPECIAL, word_piece_tokenizer

SENTENCES = [["the", "cats", "sat"], ["New York", "cats"], ["the", "", "cat"], ["cat", "[SEP]", "the"]]
PIECES = word_piece_tokenizer([*SPECIAL, "the", "cat", "##s", "sat", "new", "york"], model_max_length=16)
TAGS = ListFeature(ClassLabel(names=["O", "B-x"]))


def byte_level(*, trims: bool = True) -> PreTrainedTokenizerBase:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=trims)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([" ".join(words) for words in SENTENCES] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")


def metaspace() -> PreTrainedTokenizerBase:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=["<pad>", "<unk>"], show_progress=False)
    backend.train_from_iterator([" ".join(words) for words in SENTENCES] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")


def tagged(rows: list[list[str]]) -> Dataset:
    features = Features({"tokens": ListFeature(Value("string")), "label": TAGS})
    return Dataset.from_dict({"tokens": rows, "label": [[1] * len(words) for words in rows]}, features=features)


@pytest.mark.parametrize(
    "tokenizer", [PIECES, byte_level(), byte_level(trims=False), metaspace()], ids=["pieces", "bytes", "raw", "spaces"]
)
def test_training_sees_the_tokens_that_serving_sees(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = tokenize(tagged(SENTENCES), tokenizer, max_length=40)
    served = tokenizer([" ".join(words) for words in SENTENCES])
    assert rows["input_ids"][:] == served["input_ids"]
    for words, labels in zip(SENTENCES, rows["labels"], strict=True):
        assert sum(label == 1 for label in labels) == sum(bool(word) for word in words)


def test_token_rows_of_word_pieces_are_those_of_separate_words() -> None:
    rows = [["the", "cats", "sat"], ["cat", "##s", "the"], ["sat", "unknown", "cats"]]
    apart = PIECES(rows, is_split_into_words=True, truncation=True, max_length=16)
    assert tokenize(tagged(rows), PIECES, max_length=16)["input_ids"][:] == apart["input_ids"]


def test_each_word_knows_its_first_token() -> None:
    assert word_spans(["ab", "", "c"]) == [(0, 2), (3, 3), (4, 5)]
    offsets = [(0, 0), (0, 1), (1, 2), (2, 5), (0, 0)]
    assert first_tokens(["ab", "", "c"], offsets, [1, 0, 0, 0, 1]) == [1, None, 3]


def test_a_token_across_two_words_belongs_to_the_first_that_has_none() -> None:
    assert first_tokens(["ab", "cd"], [(0, 5)], [0]) == [0, None]
    assert first_tokens(["ab", "cd"], [(0, 1), (1, 4), (4, 5)], [0, 0, 0]) == [0, 2]


def test_words_that_are_dropped_or_cut_have_no_token() -> None:
    rows = tagged([["the", "\u200b\x00", "cats", "sat", "the"]])
    assert word_tokens(rows, PIECES, max_length=6) == [[1, None, 2, 4, None]]


def test_an_empty_partner_is_none_as_in_serving() -> None:
    rows = Dataset.from_dict({"text": ["the cat", "the"], "text_pair": ["", "sat"]})
    found = tokenize(rows, PIECES, max_length=16)
    assert found["input_ids"][:] == [PIECES("the cat")["input_ids"], PIECES("the", "sat")["input_ids"]]


def test_the_number_of_cut_rows_is_told() -> None:
    heard: list[int] = []
    rows = Dataset.from_dict({"text": ["the cat sat", "the"]})
    tokenize(rows, PIECES, max_length=4, on_cut=heard.append)
    tokenize(tagged([["the", "cat", "sat"]]), PIECES, max_length=4, on_cut=heard.append)
    assert heard == [1, 1]
