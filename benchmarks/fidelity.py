"""Whether the error that a search measures foresees the finished student: candidates are distilled on their own, by the
product's defaults, and their scores on test rows are compared with errors that were measured before.

The errors: of each candidate as it inherits (`search.method: inherited`), as a part of shared weights (`elastic`),
after 30 steps of its own (`certified`), and its size alone. Candidates are evenly spaced over the logarithm of their
size. What is finished is not done again.

    python benchmarks/fidelity.py --model path/to/minilm --data ../shared/data --work out/fidelity --sets trec6 stsb
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import students
from scipy.stats import spearmanr

from optimum_ose import DistillationConfig, OSEOptimizer, SearchConfig
from optimum_ose.artifact import OSEArtifact
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import make_splits
from optimum_ose.distillation.candidates import CandidateRun, CandidateSetting, CandidateTrainer
from optimum_ose.optimizer.elastic import elastic_measurer, trained_elastic
from optimum_ose.optimizer.settling import settled
from optimum_ose.optimizer.size_bounds import small_candidates
from optimum_ose.optimizer.students import StudentMaker

ERRORS = ("inherited", "elastic", "short", "share")
"""What is known of a candidate before its distillation."""
SCORES = ("inherited_score", "elastic_score", "start", "validation", "test")
"""Twice the share of the teacher's score on the development rows that measure errors; scores on all of them before and
after the distillation; the score on test rows."""
FIELDS = ("data", "seed", "architecture", *ERRORS, *SCORES, "teacher", "seconds")
LEAST_CORRELATION = 0.8


def main() -> int:
    """Run what is missing and print the table; the exit code is 1 if a correlation is lower than it should be."""
    options = _parse()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "fidelity.csv"
    rows = students.read_rows(path)
    for data in options.sets:
        known = {row["architecture"] for row in _of(rows, data, options)}
        for row in _finished(data, known, options) if len(known) < options.candidates else ():
            rows.append({name: str(row[name]) for name in FIELDS})
            students.append_row(path, rows[-1])
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    return _summarize(rows, options)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of the bare encoder")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds trec6/ and so on")
    parser.add_argument("--work", type=Path, required=True, help="folder of teachers and rows; to resume in")
    parser.add_argument("--sets", nargs="+", choices=students.AIMS, default=["trec6", "banking77", "wnut17", "stsb"])
    parser.add_argument("--candidates", type=int, default=12, help="that are distilled (default: 12)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _finished(data: str, known: set[str], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the candidates that are missing."""
    task = "token-classification" if data in students.TAGS else "text-classification"
    source, artifact = str(students.source_of(data, options)), OSEArtifact(options.work / f"{data}-{options.seed}")
    only_train = options.work / "only-train.yaml"
    only_train.write_text("search: {method: elastic, max_evaluations: 1}\n", encoding="utf-8")
    named = {"model": options.model, "dataset": source, "task": task, "seed": options.seed, "output": artifact.path}
    named["config"] = only_train
    words = [word for name, value in named.items() for word in (f"--{name}", str(value))]
    subprocess.run([sys.executable, "-m", "optimum_ose", "extract", *words], check=True)
    optimizer = OSEOptimizer.from_pretrained(artifact.path / "teacher", task=task, max_length=128)
    splits = make_splits(read_tables(source), Columns(), seed=0, task=task)
    config = settled(optimizer, SearchConfig(method="elastic", seed=options.seed))
    space = optimizer.search_space(config)
    candidates = small_candidates(space, config)
    whole = float(space.parameter_size([space.maximum_point], count_embeddings=False)[0])
    shares = space.parameter_size(candidates, count_embeddings=False) / whole
    steps = np.linspace(np.log(shares.min()), np.log(shares.max()), options.candidates)
    chosen = list(dict.fromkeys(int(np.abs(np.log(shares) - step).argmin()) for step in steps))
    eval_rows = optimizer.rows(splits.validation).shuffle(seed=config.seed)
    eval_rows = eval_rows.select(range(min(len(eval_rows), config.num_eval_rows)))
    rows = optimizer.answered_rows(splits.train)
    make = StudentMaker(optimizer.teacher, optimizer.tokenizer, task=task, rows=rows)
    shared = trained_elastic(optimizer, space, config, train_dataset=splits.train, folder=artifact.elastic)
    inherited, elastic = (elastic_measurer(optimizer, one, config, eval_rows) for one in (make, shared))
    certified = SearchConfig(method="certified")
    setting = CandidateSetting(
        teacher=optimizer.teacher,
        tokenizer=optimizer.tokenizer,
        rows=rows,
        eval_rows=eval_rows,
        initialize=make,
        search=certified,
        task=task,
    )
    short, theta = CandidateTrainer(setting, clock=time.perf_counter), dict(certified.hyperparameters[0])
    teacher = [round(optimizer.score(optimizer.teacher, part), 4) for part in (splits.validation, splits.test)]
    for place in chosen:
        architecture, start = candidates[place], time.perf_counter()
        name = json.dumps(dict(architecture))
        if name in known:
            continue
        run = CandidateRun(architecture=architecture, theta=theta, replicate=0)
        student = optimizer.initialize(architecture, calibration_dataset=splits.train)
        start_score = optimizer.score(student, splits.validation)
        optimizer.distill(student, splits.train, DistillationConfig(seed=options.seed))
        of_inherited, of_elastic = inherited.measure(run), elastic.measure(run)
        yield {
            "data": data,
            "seed": options.seed,
            "architecture": name,
            "inherited": of_inherited["error"],
            "elastic": of_elastic["error"],
            "short": short.measure(run)["error"],
            "share": round(float(shares[place]), 5),
            "inherited_score": round(of_inherited["score"] / inherited.teacher_score, 4),
            "elastic_score": round(of_elastic["score"] / elastic.teacher_score, 4),
            "start": round(start_score, 4),
            "validation": round(optimizer.score(student, splits.validation), 4),
            "test": round(optimizer.score(student, splits.test), 4),
            "teacher": json.dumps(teacher),
            "seconds": round(time.perf_counter() - start),
        }


def _of(rows: list[dict[str, str]], data: str, options: argparse.Namespace) -> list[dict[str, str]]:
    return [row for row in rows if row["data"] == data and row["seed"] == str(options.seed)]


def _summarize(rows: list[dict[str, str]], options: argparse.Namespace) -> int:
    print("\n| set | candidates | sizes | errors | test scores | inherited | shared weights | short training | size |")
    print("|---|---|---|---|---|---|---|---|---|")
    worst = 1.0
    for data in options.sets:
        found = {name: np.array([float(row[name]) for row in _of(rows, data, options)]) for name in (*ERRORS, "test")}
        test = found.pop("test")
        foreseen = [-spearmanr(found[name], test).statistic for name in ERRORS[:3]]
        by_size = spearmanr(found["share"], test).statistic
        worst = min(worst, foreseen[0] if np.isfinite(foreseen[0]) else -1.0)
        spans = [found[name].max() / found[name].min() for name in ("share", "inherited")]
        print(
            f"| {data} | {len(test)} | {spans[0]:.0f}x | {spans[1]:.1f}x | {test.min():.4f} to {test.max():.4f} | "
            + " | ".join(f"{one:.2f}" for one in (*foreseen, by_size))
            + " |"
        )
    return int(worst < LEAST_CORRELATION)


if __name__ == "__main__":
    sys.exit(main())
