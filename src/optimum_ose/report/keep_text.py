"""What the finished student keeps of its teacher's score, and what its neighbors would."""

from collections.abc import Mapping
from typing import Any


def keep_sentence(kept: Mapping[str, Any]) -> str:
    """Whether the share that was asked for is kept; from `benchmark.json`."""
    verdict = "keeps" if kept["kept"] else "MISSES"
    test = "a teacher without score" if kept["test_share"] is None else f"{kept['test_share']:.1%}"
    proven = kept.get("proven_share")
    sure = (
        f"; with {kept['confidence']:.0%} confidence it keeps at least {proven:.1%} on all rows like them"
        if proven
        else ""
    )
    return (
        f"The student {verdict} {kept['keep']:.1%} of the teacher's {kept['metric']}: {kept['file']} has "
        f"{kept['validation_share']:.1%} of it on {kept['num_validation_rows']:,} development rows, which chose "
        f"it, and {test} on {kept['num_test_rows']:,} test rows, which chose nothing{sure}."
    )


def keep_sentences(search: Mapping[str, Any], benchmark: Mapping[str, Any]) -> tuple[str, ...]:
    """The same, and what a cheaper and a better candidate would cost and bring; none where no share was asked for."""
    if "keep" not in benchmark:
        return ()
    told = (f"{search['keep']['statement']}.",) if "keep" in search else ()
    return (keep_sentence(benchmark["keep"]), *told)
