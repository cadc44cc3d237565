"""Whether the error that a search measures foresees the finished student: candidates of a finished run are distilled on
their own, by the product's defaults, and their scores on test rows are compared with their measured errors.

The runs are those of `keeping.py`, in whose folder of work this one looks; nothing is trained in them again. Beside the
error of the shared weights stand that of the short training of `search.method: certified`, and what the score on
development rows lacks to 1 before any training. Candidates are evenly spaced over the logarithm of their size. What is
finished is not done again.

    python benchmarks/fidelity.py --runs out/keeping --data ../shared/data --work out/fidelity --sets trec6 banking77
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import students
from scipy.stats import spearmanr

from optimum_ose import Architecture, DistillationConfig, OSEOptimizer, SearchConfig
from optimum_ose.artifact import OSEArtifact
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import Splits, make_splits
from optimum_ose.distillation.candidates import CandidateRun, CandidateSetting, CandidateTrainer
from optimum_ose.optimizer.students import StudentMaker

FIELDS = ("data", "seed", "architecture", "share", "elastic", "short", "inherited", "validation", "test", "seconds")
LEAST_CORRELATION = 0.8


def main() -> int:
    """Run what is missing and print the table; the exit code is 1 if a correlation is lower than it should be."""
    options = _parse()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "fidelity.csv"
    rows = students.read_rows(path)
    for data in options.sets:
        known = {row["architecture"] for row in rows if row["data"] == data and row["seed"] == str(options.seed)}
        for row in _finished(data, known, options) if len(known) < options.candidates else ():
            rows.append({name: str(row[name]) for name in FIELDS})
            students.append_row(path, rows[-1])
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    return _summarize(rows, options)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder of work of keeping.py")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds trec6/ and so on")
    parser.add_argument("--work", type=Path, required=True, help="folder of the rows; the same command resumes in it")
    parser.add_argument("--sets", nargs="+", choices=students.AIMS, default=["trec6", "banking77", "wnut17", "stsb"])
    parser.add_argument("--candidates", type=int, default=12, help="that are distilled (default: 12)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _finished(data: str, known: set[str], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the candidates that are missing."""
    task = "token-classification" if data in students.TAGS else "text-classification"
    artifact = OSEArtifact(options.runs / f"{data}-0")
    optimizer = OSEOptimizer.from_pretrained(artifact.path / "teacher", task=task, max_length=128)
    splits = make_splits(read_tables(str(students.source_of(data, options))), Columns(), seed=0, task=task)
    optimizer.extract(
        SearchConfig(epsilon=0.05, keep=0.0),
        train_dataset=splits.train,
        eval_dataset=splits.validation,
        journal=options.work / f"{data}.journal.jsonl",
        elastic_folder=artifact.elastic,
    )
    space = optimizer.search_space()
    whole = float(space.parameter_size([space.maximum_point], count_embeddings=False)[0])
    candidates = list(optimizer.measured)
    errors = _errors(options.work / f"{data}.journal.jsonl")
    shares = space.parameter_size(candidates, count_embeddings=False) / whole
    steps = np.linspace(np.log(shares.min()), np.log(shares.max()), options.candidates)
    chosen = list(dict.fromkeys(int(np.abs(np.log(shares) - step).argmin()) for step in steps))
    trainer = _short_trainer(optimizer, splits)
    for place in chosen:
        architecture, start = candidates[place], time.perf_counter()
        name = json.dumps(dict(architecture))
        if name in known:
            continue
        short = trainer.measure(CandidateRun(architecture=architecture, theta=_theta(), replicate=0))["error"]
        student = optimizer.initialize(architecture, calibration_dataset=splits.train)
        inherited = optimizer.score(student, splits.validation)
        optimizer.distill(student, splits.train, DistillationConfig(seed=options.seed))
        yield {
            "data": data,
            "seed": options.seed,
            "architecture": name,
            "share": round(float(shares[place]), 5),
            "elastic": errors[architecture],
            "short": short,
            "inherited": round(1 - inherited, 4),
            "validation": round(optimizer.score(student, splits.validation), 4),
            "test": round(optimizer.score(student, splits.test), 4),
            "seconds": round(time.perf_counter() - start),
        }


def _errors(journal: Path) -> dict[Architecture, float]:
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()[1:]]
    return {Architecture(line["architecture"]): line["error"] for line in lines if "architecture" in line}


def _theta() -> dict[str, Any]:
    return dict(SearchConfig().hyperparameters[0])


def _short_trainer(optimizer: OSEOptimizer, splits: Splits) -> CandidateTrainer:
    """Trains candidates as a search by short trainings does."""
    settings = SearchConfig(method="certified")
    rows, eval_rows = optimizer.answered_rows(splits.train), optimizer.rows(splits.validation)
    eval_rows = eval_rows.shuffle(seed=0)
    setting = CandidateSetting(
        teacher=optimizer.teacher,
        tokenizer=optimizer.tokenizer,
        rows=rows,
        eval_rows=eval_rows.select(range(min(len(eval_rows), settings.num_eval_rows))),
        initialize=StudentMaker(optimizer.teacher, optimizer.tokenizer, task=optimizer.task, rows=rows),
        search=settings,
        task=optimizer.task,
    )
    return CandidateTrainer(setting, clock=time.perf_counter)


def _summarize(rows: list[dict[str, str]], options: argparse.Namespace) -> int:
    print(
        "\n| set | candidates | size spans | error spans | test scores | shared weights | short training | untrained |"
    )
    print("|---|---|---|---|---|---|---|---|")
    worst = 1.0
    for data in options.sets:
        found = [row for row in rows if row["data"] == data and row["seed"] == str(options.seed)]
        sizes, elastic, short, inherited, test = (
            np.array([float(row[name]) for row in found]) for name in ("share", "elastic", "short", "inherited", "test")
        )
        foreseen, *others = (-spearmanr(errors, test).statistic for errors in (elastic, short, inherited))
        worst = min(worst, foreseen if np.isfinite(foreseen) else -1.0)
        print(
            f"| {data} | {len(found)} | {sizes.max() / sizes.min():.0f}x | {elastic.max() / elastic.min():.1f}x | "
            f"{test.min():.4f} to {test.max():.4f} | {foreseen:.2f} | {others[0]:.2f} | {others[1]:.2f} |"
        )
    return int(worst < LEAST_CORRELATION)


if __name__ == "__main__":
    sys.exit(main())
