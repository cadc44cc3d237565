"""What trimming a vocabulary changed: a record, and the same in a few lines."""

from dataclasses import dataclass

from optimum_ose.vocabulary.verification import Verification
from optimum_ose.wording import listed, shown

MOST_LISTED = 1000
"""Dropped tokens that a report lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimReport:
    """What `ose/trim.json` holds."""

    model: str
    """Folder or Hub id."""
    corpus: tuple[str, ...]
    """Names of its files."""
    keep_coverage: float | None
    """As asked for."""
    vocabulary_size: int | None
    """As asked for."""
    num_texts: int
    """Texts of the corpus that are not blank."""
    num_texts_changed: int
    """Those with a token that was dropped: they are cut into other tokens now."""
    num_corpus_tokens: int
    """Tokens of the corpus, special tokens not counted."""
    num_corpus_tokens_after: int
    """The same, cut by the smaller tokenizer."""
    coverage: float
    """Share of the tokens of the corpus that stayed."""
    num_tokens: int
    """Of the whole vocabulary."""
    num_tokens_after: int
    """Of the smaller one."""
    num_tokens_required: int
    """Of those, how many stay whatever the corpus is."""
    num_tokens_dropped_seen: int
    """Dropped tokens that occur in the corpus."""
    dropped: tuple[tuple[str, int], ...]
    """The most frequent of them, each with how often it occurs."""
    num_rows_without_token: int
    """Rows of the table that no token had."""
    num_parameters: int
    """Of the whole model."""
    num_parameters_after: int
    """Of the smaller one."""
    tensors: tuple[str, ...]
    """Tensors that lost rows or columns."""
    verification: Verification
    """The comparison of both models."""


def summary(report: TrimReport) -> str:
    """A report in a few lines."""
    check = report.verification
    share = 1 - report.num_parameters_after / report.num_parameters
    longer = report.num_corpus_tokens_after / report.num_corpus_tokens - 1
    lines = [
        f"tokens: {report.num_tokens_after:,} of {report.num_tokens:,} stay ({report.num_tokens_required:,} of them "
        "whatever the corpus is)",
        f"coverage: {report.coverage:.4%} of the {report.num_corpus_tokens:,} tokens in {report.num_texts:,} texts",
        f"texts with other tokens: {report.num_texts_changed:,} ({report.num_texts_changed / report.num_texts:.2%}); "
        f"tokens in the corpus: {longer:+.2%}",
        f"parameters: {report.num_parameters_after:,} of {report.num_parameters:,} ({share:.1%} fewer)",
    ]
    if report.num_tokens_dropped_seen:
        examples = listed((f"{shown(token)} ({count:,})" for token, count in report.dropped[:5]), limit=5)
        lines.append(f"dropped tokens that occur: {report.num_tokens_dropped_seen:,}; most often {examples}")
    if report.num_rows_without_token:
        lines.append(f"rows of the table without a token: {report.num_rows_without_token:,}, left out")
    what = f"{check.num_texts:,} texts whose tokens all stayed" if check.num_texts else "rows of drawn tokens"
    how = "bit for bit" if check.identical else f"up to {check.largest_difference:.1e} in the scores of tokens"
    lines.append(f"verified: the same outputs, {how}, on {what} (of {check.num_sampled:,} sampled)")
    return "\n".join(lines)
