"""What the finished student keeps of its teacher's score, in one sentence."""

from collections.abc import Mapping
from typing import Any


def keep_sentence(kept: Mapping[str, Any]) -> str:
    """Whether the share that was asked for is kept; from `benchmark.json`."""
    verdict = "keeps" if kept["kept"] else "MISSES"
    test = "a teacher without score" if kept["test_share"] is None else f"{kept['test_share']:.1%}"
    return (
        f"The student {verdict} {kept['keep']:.1%} of the teacher's {kept['metric']}: {kept['file']} has "
        f"{kept['validation_share']:.1%} of it on {kept['num_validation_rows']:,} development rows, which chose "
        f"it, and {test} on {kept['num_test_rows']:,} test rows, which chose nothing."
    )
