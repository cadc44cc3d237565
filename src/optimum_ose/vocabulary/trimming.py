"""Trims the vocabulary of a model to the tokens of a corpus, without training."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.guards import require_path, require_whole_number
from optimum_ose.modeling.configs import load_config
from optimum_ose.modeling.length import counts_from_padding
from optimum_ose.modeling.source import require_source
from optimum_ose.modeling.stored_model import StoredModel, load_stored
from optimum_ose.modeling.tokenizers import load_tokenizer, require_fitting_tokenizer
from optimum_ose.progress import Listener, SilentListener, working
from optimum_ose.serialization import canonical_json
from optimum_ose.vocabulary.corpus import Corpus, find_corpus
from optimum_ose.vocabulary.counting import Counts, count_tokens, encode_plainly, in_threads
from optimum_ose.vocabulary.rewriting import smaller_tokenizer
from optimum_ose.vocabulary.rules import Rules, rules_of
from optimum_ose.vocabulary.selection import (
    Selection,
    keep_coverage,
    keep_size,
    require_coverage,
    require_size,
    with_id_at_its_place,
)
from optimum_ose.vocabulary.table import TokenTable, read_table
from optimum_ose.vocabulary.tensors import smaller_model, table_rows, token_dimensions
from optimum_ose.vocabulary.token_ids import named_ids
from optimum_ose.vocabulary.trim_report import MOST_LISTED, TrimReport
from optimum_ose.vocabulary.verification import verify
from optimum_ose.vocabulary.writing import claim_for_trimming, write_trimmed

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """A model and its tokenizer with some of their tokens."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    selection: Selection
    tensors: tuple[str, ...]
    """Those that lost rows or columns."""


def trim_vocabulary(
    model: str | Path,
    corpus: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    keep_coverage: float | None = None,
    vocabulary_size: int | None = None,
    text_column: str | None = None,
    sample_size: int = 256,
    seed: int = 0,
    listener: Listener | None = None,
) -> TrimReport:
    """Write a model without the tokens that a corpus does not need, as an ordinary model folder. Nothing is trained.

    Texts whose tokens all stay have the same outputs, which is verified; the words of other texts are cut into more
    tokens. Added and special tokens, single characters and bytes always stay, so that every text can be written.

    Args:
        model: folder or Hub id, with a fast tokenizer.
        corpus: files (txt, jsonl, csv, tsv, parquet, all but parquet perhaps gzipped) or folders of such files.
        output: folder to write; the report is ose/trim.json in it.
        keep_coverage: share of the corpus' tokens that must stay, in (0, 1]; 1: every token that occurs.
        vocabulary_size: number of tokens to keep, instead.
        text_column: of files with columns; None: text, sentence or another usual name.
        sample_size: texts of the corpus on which both models are compared.
        seed: of the draw of these.
        listener: hears of the progress.

    Raises:
        InvalidConfigError: if a setting is out of range, or the model's files contradict each other.
        InvalidDataError: if the corpus cannot be read or holds no token.
        UnsupportedModelError: if the tokenizer has no fast form, or a tensor follows the vocabulary in another way.
        OutputFolderError: if the folder holds something else, or cannot be written.
        TrimmingError: if the outputs differ.
    """
    heard = listener or SilentListener()
    choose = _choice(keep_coverage, vocabulary_size)
    require_whole_number(sample_size, "sample_size", least=1)
    files = find_corpus([corpus] if isinstance(corpus, str | Path) else corpus, text_column=text_column)
    source, folder = require_source(model), require_path(output, "output")
    with working(heard, "loading the model", None):
        stored, tokenizer = _loaded(source)
    whole, table = stored.model, read_table(tokenizer.backend_tokenizer)
    rules = _with_named_ids(rules_of(table), whole, tokenizer, table)
    if vocabulary_size is not None:
        require_size(table, rules, vocabulary_size)
    dimensions = token_dimensions(whole)
    _warn_of_holes(table, table_rows(whole))
    claim_for_trimming(folder, source=source)
    counted = count_tokens(
        tokenizer.backend_tokenizer,
        files.chunks(),
        num_ids=table.num_ids,
        sample_size=sample_size,
        seed=seed,
        listener=heard,
    )
    with working(heard, "trimming", None):
        found = trim(whole, tokenizer, table, choose(table, rules, counted.counts), dimensions=dimensions)
        check = verify(whole, found.model, (tokenizer, found.tokenizer), counted.sample, found.selection.kept)
    changed, length = _changes(files, (tokenizer, found.tokenizer), counted, found.selection, heard)
    dropped = _dropped(table, counted, found.selection)
    report = TrimReport(
        model=source,
        corpus=tuple(path.name for path in files.files),
        keep_coverage=keep_coverage,
        vocabulary_size=vocabulary_size,
        num_texts=counted.num_texts,
        num_texts_changed=changed,
        num_corpus_tokens=counted.num_tokens,
        num_corpus_tokens_after=length,
        coverage=found.selection.coverage,
        num_tokens=len(table.tokens),
        num_tokens_after=len(found.selection.kept),
        num_tokens_required=found.selection.num_required,
        num_tokens_dropped_seen=len(dropped),
        dropped=tuple(dropped[:MOST_LISTED]),
        num_rows_without_token=table_rows(whole) - len(table.tokens),
        num_parameters=_num_parameters(stored.model, stored),
        num_parameters_after=_num_parameters(found.model, stored),
        tensors=found.tensors,
        verification=check,
    )
    write_trimmed(
        found.model,
        found.tokenizer,
        folder,
        source=source,
        not_stored=stored.not_stored,
        report=canonical_json(report),
    )
    return report


def trim(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    table: TokenTable,
    selection: Selection,
    *,
    dimensions: dict[str, tuple[int, ...]] | None = None,
) -> Trimmed:
    """A model and its tokenizer with the selected tokens; the given ones are not changed.

    Args:
        model: with all tokens.
        tokenizer: of these.
        table: read from it.
        selection: the tokens that stay.
        dimensions: as `token_dimensions`, where they are known.

    Raises:
        UnsupportedModelError: if one of them cannot be built with so few tokens.
    """
    kept = selection.kept
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    if counts_from_padding(model.config) and isinstance(padding, int) and padding in kept:
        kept = with_id_at_its_place(kept, padding)
    found = dimensions if dimensions is not None else token_dimensions(model)
    return Trimmed(
        model=smaller_model(model, kept, dimensions=found),
        tokenizer=smaller_tokenizer(tokenizer, table, kept),
        selection=replace(selection, kept=kept),
        tensors=tuple(sorted(found)),
    )


def _choice(coverage: float | None, size: int | None) -> Callable[[TokenTable, Rules, NDArray[np.int64]], Selection]:
    if coverage is not None and size is None:
        share = require_coverage(coverage)
        return lambda table, rules, counts: keep_coverage(table, rules, counts, share)
    if size is None or coverage is not None:
        raise InvalidConfigError(
            "Trimming needs either the coverage to keep or the size of the vocabulary",
            "got both" if size is not None else "got neither",
            "Give --keep-coverage 0.999, or --vocabulary-size with a number of tokens",
        )
    number = require_whole_number(size, "vocabulary_size", least=1)
    return lambda table, rules, counts: keep_size(table, rules, counts, number)


def _loaded(source: str) -> tuple[StoredModel, PreTrainedTokenizerBase]:
    config = load_config(source)
    tokenizer = load_tokenizer(source)
    require_fitting_tokenizer(config, tokenizer)
    return load_stored(source, config), tokenizer


def _with_named_ids(
    rules: Rules, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, table: TokenTable
) -> Rules:
    """The rules, with the tokens that config, generation config and tokenizer name."""
    settings = [model.config.to_dict()]
    if getattr(model, "generation_config", None) is not None:
        settings.append(model.generation_config.to_dict())
    named = set(tokenizer.all_special_ids).union(*(named_ids(content) for content in settings))
    return replace(rules, required=rules.required | named.intersection(table.tokens))


def _warn_of_holes(table: TokenTable, rows: int) -> None:
    if table.num_holes:
        _LOGGER.warning("%d ids below %d have no token; their rows are left out", table.num_holes, table.num_ids)
    if rows > table.num_ids:
        _LOGGER.warning(
            "the table has %d rows for %d tokens; rows without a token are left out", rows, len(table.tokens)
        )


def _changes(
    files: Corpus,
    tokenizers: tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase],
    counted: Counts,
    selection: Selection,
    listener: Listener,
) -> tuple[int, int]:
    """Texts of the corpus with a dropped token, and tokens of all texts when the smaller tokenizer cuts them."""
    is_kept = np.zeros(len(counted.counts), dtype=bool)
    is_kept[list(selection.kept)] = True
    if not counted.counts[~is_kept].any():
        return 0, counted.num_tokens
    before, after = (tokenizer.backend_tokenizer for tokenizer in tokenizers)
    changed = length = seen = 0
    with working(listener, "comparing texts", counted.num_texts):
        found = in_threads(lambda texts: _changed_in(before, after, texts, is_kept), files.chunks())
        for texts, (number, tokens) in found:
            changed, length, seen = changed + number, length + tokens, seen + len(texts)
            listener.advance(seen, f"{changed:,} with other tokens")
    return changed, length


def _changed_in(
    before: Tokenizer, after: Tokenizer, texts: Sequence[str], is_kept: NDArray[np.bool_]
) -> tuple[int, int]:
    whole = encode_plainly(before, texts)
    changed = [place for place, ids in enumerate(whole) if not is_kept[ids].all()]
    shorter = sum(len(whole[place]) for place in changed)
    longer = sum(map(len, encode_plainly(after, [texts[place] for place in changed])))
    return len(changed), sum(map(len, whole)) - shorter + longer


def _dropped(table: TokenTable, counted: Counts, selection: Selection) -> list[tuple[str, int]]:
    """Tokens of the corpus that were dropped, with how often they occur, the most frequent first."""
    kept = set(selection.kept)
    seen: Iterator[int] = (int(index) for index in np.flatnonzero(counted.counts) if index not in kept)
    ordered = sorted(seen, key=lambda index: (-counted.counts[index], index))
    return [(table.tokens[index], int(counted.counts[index])) for index in ordered]


def _num_parameters(model: PreTrainedModel, stored: StoredModel) -> int:
    """Parameters that are written."""
    return sum(tensor.numel() for name, tensor in model.named_parameters() if name not in stored.not_stored)
