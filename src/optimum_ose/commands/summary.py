"""Prints what a finished run found."""

from optimum_ose.artifact import OSEArtifact
from optimum_ose.core.architecture import sizes_in_words
from optimum_ose.exceptions import LatencyBoundError, ScoreBoundError
from optimum_ose.records import read_benchmark, read_search
from optimum_ose.report.examples import answer_line
from optimum_ose.report.keep_text import keep_sentences
from optimum_ose.report.latency_text import bound_sentence
from optimum_ose.report.older_records import reading_records
from optimum_ose.report.table import comparison_table
from optimum_ose.wording import one_line, printable


def print_summary(artifact: OSEArtifact) -> None:
    """The comparison, the certificate, three example predictions, and where everything lies."""
    with reading_records(artifact.path):
        text = _summary(artifact)
    print(text)


def _summary(artifact: OSEArtifact) -> str:
    benchmark, search = read_benchmark(artifact.benchmark), read_search(artifact.chosen)
    chosen = sizes_in_words(search["winner"]["architecture"])
    lines = [comparison_table(benchmark), f"\nArchitecture: {chosen}\n{search['certificate']['statement']}"]
    if kept := keep_sentences(search, benchmark):
        lines.append(" ".join(kept))
    examples = (artifact.stage("benchmark") or {}).get("examples", [])
    if examples:
        lines.append("\nRows of the test split, answered by the default ONNX file:")
    lines += [f"  {answer_line(example)}" for example in examples]
    place = one_line(artifact.path)
    lines.append(f"\nEverything is in {place}; try: optimum-cli ose serve {place}")
    return "\n".join(printable(line) for line in lines)


def require_bounds_kept(artifact: OSEArtifact) -> None:
    """End with an error, after everything is written, where the finished student misses `max_latency_ms` or the share
    of the teacher's score to keep.

    Raises:
        LatencyBoundError, ScoreBoundError: if it does.
    """
    benchmark = read_benchmark(artifact.benchmark)
    share, bound = benchmark.get("keep"), benchmark.get("latency_bound")
    if share is not None and not share["kept"]:
        raise ScoreBoundError(
            f"The finished student keeps {share['keep']:.1%} of the teacher's score",
            f"the nearest that was found keeps {share['validation_share']:.1%} of it on the development rows",
            "All files are written, and nothing was uploaded (`ose push` does that). In another folder: admit larger "
            "students (--max-non-embedding-parameters), raise distillation.num_steps, lower --keep, or "
            "ask for no share (--keep none)",
        )
    if bound is not None and not bound["kept"]:
        raise LatencyBoundError(
            f"The finished student keeps max_latency_ms={bound['max_latency_ms']:g}",
            bound_sentence(bound).rstrip("."),
            "All files are written. Measure again on a quiet machine with `optimum-cli ose bench`, or run again with a "
            "lower bound in another folder",
        )
