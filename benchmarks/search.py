"""Owns the benchmark of the search: regret at equal numbers of error evaluations, and honesty of what is claimed.

An instance is a table of candidates (a synthetic family of errors on a space, or a set of really trained networks) with
a level of noise; on each, every method runs with every seed. A seed draws the errors of a synthetic family, the noise
and the method's own choices; the k-th training of a candidate returns the same error to all methods. Regret is
1 - W(found) / max W, both with the true errors; found is what the method returns by what it has seen.

A method is better on an instance if its mean regret over the seeds that both ran is lower, or if both lie below 0.05%.
Budgets are 12 and 24 evaluations; there the certified search is asked for epsilon = 0.01, so that the budget ends it.
"certified to its end" is asked for epsilon = 0.05 and stops when its certificate holds, or when it has made as many
evaluations as there are candidates; "exhaustive" trains them all.

Seeds from 10,000 up were used to choose constants of the search; published figures come from seeds 0 to 99.
"""

import argparse
import contextlib
import csv
import importlib.util
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from families import FAMILIES, SPACES, synthetic_table
from instances import Table
from methods import ENDLESS, METHODS, OF_OPTUNA, SLOW, UNBOUNDED, find
from summary import summarize
from tqdm import tqdm
from trained import trained_tables

NOISES = (0.0, 0.02, 0.05, 0.1)
BUDGETS = (12, 24)
UNLIMITED = 10**9
FIELDS = (
    "space", "family", "noise", "seed", "method", "budget", "regret", "ratio", "assumption", "evaluations", "trained",
    "candidates", "monotone", "seconds",
)  # fmt: skip
EXAMPLE = "example: python benchmarks/search.py --seeds 5 --methods certified,tpe --output search.csv"
ALL_METHODS = (*METHODS, *ENDLESS)
_TRAINED: dict[str, Table] = {}
Job = tuple[str, str, float, int, str]


def main() -> int:
    """Run what is not in the output yet and print the tables; the exit code is 1 if a promise is broken."""
    options = _parse()
    methods = options.methods.split(",")
    _require_optuna(methods)
    folder = options.data or os.environ.get("OSE_DATA")
    if folder:
        _TRAINED.update(trained_tables(Path(folder) / "tables"))
    else:
        print("trained networks are left out: neither --data nor OSE_DATA names the folder that holds tables/")
    wanted = dict.fromkeys(_jobs(options, methods))
    known = [row for row in _read(options.output) if _job(row) in wanted]
    done = {_job(row) for row in known}
    return summarize(known + _run([job for job in wanted if job not in done], options))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], epilog=EXAMPLE)
    parser.add_argument("--seeds", type=int, default=100, help="seeds per instance (default: 100)")
    parser.add_argument("--first", type=int, default=0, help="first seed (default: 0)")
    parser.add_argument(
        "--slow-seeds", type=int, default=100, help=f"seeds of the methods that take seconds: {', '.join(SLOW)}"
    )
    parser.add_argument("--noises", default=",".join(map(str, NOISES)), help="levels of noise (default: all)")
    parser.add_argument("--methods", default=",".join(ALL_METHODS), help="methods, separated by commas (default: all)")
    parser.add_argument("--data", help="folder that holds tables/; default: $OSE_DATA; skipped without")
    parser.add_argument(
        "--output",
        type=Path,
        help="csv file; what stands in it is not run again: begin a new one when the search has changed",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    options = parser.parse_args()
    unknown = set(options.methods.split(",")) - set(ALL_METHODS)
    if unknown:
        parser.error(f"methods are {', '.join(ALL_METHODS)}; {', '.join(sorted(unknown))} came; name some of these")
    return options


def _require_optuna(methods: list[str]) -> None:
    needed = [name for name in methods if name in OF_OPTUNA]
    if needed and importlib.util.find_spec("optuna") is None:
        sys.exit(
            f"The methods {', '.join(needed)} are optuna's; it is not installed; "
            "run pip install 'optimum-ose[benchmark]', or name other methods with --methods."
        )


def _jobs(options: argparse.Namespace, methods: list[str]) -> Iterator[Job]:
    """What to run, seed by seed, so that whatever is finished covers all instances alike."""
    tables = [*itertools.product(SPACES, FAMILIES), *((name, "trained") for name in _TRAINED)]
    noises = [float(noise) for noise in options.noises.split(",")]
    for seed in range(options.first, options.first + options.seeds):
        for (space, family), noise, method in itertools.product(tables, noises, methods):
            if method not in SLOW or seed < options.first + options.slow_seeds:
                yield space, family, noise, seed, method


def _job(row: Mapping[str, str]) -> Job:
    return row["space"], row["family"], float(row["noise"]), int(row["seed"]), row["method"]


def _read(path: Path | None) -> list[dict[str, str]]:
    if path is None or not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _run(waiting: list[Job], options: argparse.Namespace) -> list[dict[str, str]]:
    """Rows of all jobs; each is in the output as soon as it is known."""
    rows = []
    with contextlib.ExitStack() as stack:
        writer = None
        if options.output:
            file = stack.enter_context(options.output.open("a", newline="", encoding="utf-8"))
            writer = csv.DictWriter(file, FIELDS)
            if file.tell() == 0:
                writer.writeheader()
        outcomes = map(_work, waiting)
        if options.jobs > 1:
            pool = stack.enter_context(multiprocessing.get_context("fork").Pool(options.jobs))
            outcomes = pool.imap_unordered(_work, waiting)
        for finished in tqdm(outcomes, total=len(waiting), unit="run", disable=None):
            rows += [{name: str(value) for name, value in row.items()} for row in finished]
            if writer:
                writer.writerows(finished)
                file.flush()
    return rows


def _work(job: Job) -> list[dict[str, Any]]:
    """The rows of one method on one instance with one seed, one row a budget."""
    space, family, noise, seed, method = job
    table = _TRAINED[space] if family == "trained" else synthetic_table(space, family, seed)
    budgets = (UNLIMITED,) if method in UNBOUNDED else BUDGETS
    begin = time.perf_counter()
    found = find(method, table, budgets, noise=noise, seed=seed)
    seconds = f"{time.perf_counter() - begin:.3f}"
    ratios = table.ratios
    return [
        {
            "space": space, "family": family, "noise": noise, "seed": seed, "method": method,
            "budget": "all" if budget == UNLIMITED else budget, "regret": f"{1 - ratios[item.row]:.9f}",
            "ratio": f"{item.ratio:.9f}", "assumption": item.assumption, "evaluations": item.evaluations,
            "trained": item.trained, "candidates": len(ratios), "monotone": int(table.is_monotone), "seconds": seconds,
        }
        for budget, item in found.items()
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
