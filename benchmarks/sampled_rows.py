"""Counts how often what a sample of rows claims is false: at most alpha of the samples may make a false claim."""

import argparse
import math
import sys
import time

import numpy as np
from row_populations import SETTINGS, Setting, claims, false_shares

ALPHA = 0.05
"""Greater than the default of a search, so that a broken promise shows in fewer samples."""
_KEEP_ROWS = (60, 300, 1500)


def main() -> int:
    """Run the benchmark; the exit code is 1 if a promise is broken."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="example: python benchmarks/sampled_rows.py --draws 200"
    )
    parser.add_argument("--draws", type=int, default=1000, help="samples per setting (default: 1000)")
    broken = report(parser.parse_args().draws)
    print("BROKEN" if broken else "every promise kept")
    return int(broken)


def report(num_draws: int) -> bool:
    """Print one line per setting; whether a promise is broken."""
    print(f"\nclaims from sampled rows, alpha = {ALPHA:g}: {num_draws} samples per line")
    print(f"{'population':36s} candidates  rows  false in W  in error  median ratio  of truly  betting  seconds")
    broken = [_line(setting, num_draws) for setting in SETTINGS]
    print("share of the teacher's score that one student keeps: false are samples that prove more than it does")
    for num_rows in _KEEP_ROWS:
        false, shown = false_shares(share=0.95, num_rows=num_rows, num_draws=num_draws, alpha=ALPHA)
        kept = is_kept(false, num_draws)
        broken.append(not kept)
        verdict = "" if kept else "BROKEN"
        print(f"  {num_rows} rows: false {false / num_draws:.1%}, 95% proven {shown / num_draws:.1%} {verdict}")
    return any(broken)


def is_kept(num_false: int, num_draws: int, alpha: float = ALPHA) -> bool:
    """Whether so many false claims are at most alpha, give or take two standard errors."""
    return num_false <= num_draws * alpha + 2 * math.sqrt(num_draws * alpha * (1 - alpha))


def _line(setting: Setting, num_draws: int) -> bool:
    begin = time.perf_counter()
    found = list(claims(setting, num_draws=num_draws, alpha=ALPHA))
    false, gap = sum(claim.is_false for claim in found), sum(claim.is_gap_false for claim in found)
    kept = is_kept(false, num_draws) and is_kept(gap, num_draws)
    verdict = "" if kept else "BROKEN" if setting.is_promised else "not promised"
    print(
        f"{setting.name:36s} {setting.num_candidates:10d} {setting.num_rows:5d}  {false / num_draws:10.1%}  "
        f"{gap / num_draws:8.1%}  {np.median([claim.ratio for claim in found]):12.3f}  "
        f"{np.median([claim.true_ratio for claim in found]):8.3f}  "
        f"{np.mean([claim.method == 'betting' for claim in found]):7.0%}  {time.perf_counter() - begin:7.1f}",
        verdict,
        flush=True,
    )
    return not kept and setting.is_promised


if __name__ == "__main__":
    sys.exit(main())
