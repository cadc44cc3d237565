"""Tokenizers of every kind, trained on made text."""

import itertools
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_SYLLABLES = ("ba", "ka", "lo", "mi", "nu", "re", "sto", "tri", "ing", "ed", "é", "ñu", "ß", "日", "本", "un", "der")


@cache
def words() -> tuple[str, ...]:
    """Made words of one to four syllables."""
    generator = np.random.default_rng(0)
    return tuple(
        dict.fromkeys("".join(generator.choice(_SYLLABLES, size=generator.integers(1, 5))) for _ in range(400))
    )


@cache
def texts() -> tuple[str, ...]:
    """Made sentences in which some words are far more frequent than others."""
    generator = np.random.default_rng(1)
    places = generator.zipf(1.3, size=(600, 8)) % len(words())
    return tuple(" ".join(words()[place] for place in row) + generator.choice([".", "!", " ?", ""]) for row in places)


def _template() -> Any:
    return processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
    )


def _word_piece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator(texts(), trainers.WordPieceTrainer(vocab_size=260, special_tokens=list(SPECIAL)))
    return made


def _byte_level_bpe() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts(), trainers.BpeTrainer(vocab_size=480, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    )
    return made


def _bpe_with_ends() -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.BPEDecoder(suffix="</w>")
    made.train_from_iterator(
        texts(), trainers.BpeTrainer(vocab_size=260, special_tokens=list(SPECIAL), end_of_word_suffix="</w>")
    )
    return made


def _bpe_with_bytes() -> Tokenizer:
    """In the manner of Llama: bytes of unknown characters, and every way to split a token as a merge."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(texts(), trainers.BpeTrainer(vocab_size=220))
    ordered = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    names = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *(name for name, _ in ordered)]
    vocabulary = {name: index for index, name in enumerate(dict.fromkeys(names))}
    merges = [
        (name[:place], name[place:])
        for name, _ in ordered
        for place in range(1, len(name))
        if name[:place] in vocabulary and name[place:] in vocabulary
    ]
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens(list(SPECIAL))
    return made


def _unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        texts(), trainers.UnigramTrainer(vocab_size=200, special_tokens=list(SPECIAL), unk_token="<unk>")
    )
    return made


def _word_level() -> Tokenizer:
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(texts(), trainers.WordLevelTrainer(special_tokens=list(SPECIAL)))
    return made


MAKERS: Mapping[str, Callable[[], Tokenizer]] = MappingProxyType(
    {
        "WordPiece": _word_piece,
        "byte-level BPE": _byte_level_bpe,
        "BPE with ends of words": _bpe_with_ends,
        "BPE with bytes": _bpe_with_bytes,
        "Unigram": _unigram,
        "WordLevel": _word_level,
    }
)


@cache
def _trained(kind: str) -> str:
    made = MAKERS[kind]()
    made.post_processor = _template()
    # One in the middle of a text, and one that is no special token.
    made.add_tokens([AddedToken("<user>", normalized=False), AddedToken("kalominu", single_word=True)])
    return str(made.to_str())


def made_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of a kind, as `AutoTokenizer` would load it."""
    named = dict(itertools.zip_longest(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained(kind)), cls_token="<s>", sep_token="</s>", **named
    )
