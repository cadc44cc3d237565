"""Elastic training: what its candidates score on development rows, by size, and how long it takes.

The teacher is a fine-tuned folder, such as `teacher/` of a run. Candidates of all sizes are measured as parts of the
shared weights; with --alone some of them are then distilled on their own, from their own inheritance, for equally many
steps, and the rank correlation of both scores is printed.

    python benchmarks/elastic.py --teacher out/trec6/teacher --data ../shared/data --set trec6
    python benchmarks/elastic.py ... --steps 600 --rate 0.001 --alone 12
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import students
from scipy.stats import spearmanr

from optimum_ose import DistillationConfig, OSEOptimizer, SearchConfig
from optimum_ose.configuration.elastic import ElasticSetting
from optimum_ose.core.architecture import Architecture
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import Splits, make_splits
from optimum_ose.distillation.candidates import CandidateRun
from optimum_ose.optimizer.elastic import elastic_measurer, trained_elastic
from optimum_ose.optimizer.settling import settled
from optimum_ose.optimizer.size_bounds import small_candidates


def main() -> None:
    """Train, measure and print."""
    options = _parse()
    task = "token-classification" if options.set in students.TAGS else "text-classification"
    optimizer = OSEOptimizer.from_pretrained(options.teacher, task=task)
    source = students.source_of(options.set, options)
    splits = make_splits(read_tables(str(source)), Columns(), seed=0, task=task)
    default = ElasticSetting()
    steps = default.num_steps if options.steps is None else options.steps
    setting = ElasticSetting(num_steps=steps, learning_rate=options.rate or default.learning_rate)
    config = settled(optimizer, SearchConfig(method="elastic", elastic=setting, seed=options.seed))
    space, start = optimizer.search_space(config), time.perf_counter()
    student = trained_elastic(optimizer, space, config, train_dataset=splits.train, folder=None)
    trained = time.perf_counter() - start
    rows = optimizer.rows(splits.validation).shuffle(seed=config.seed)
    rows = rows.select(range(min(len(rows), config.num_eval_rows)))
    measurer = elastic_measurer(optimizer, student, config, rows)
    candidates = small_candidates(space, config)
    sizes = space.parameter_size(candidates, count_embeddings=False)
    whole = float(space.parameter_size([space.maximum_point], count_embeddings=False)[0])
    order = np.argsort(sizes)
    chosen = order[np.unique(np.linspace(0, len(order) - 1, options.candidates).astype(int))]
    print(f"{options.set}: {len(candidates)} candidates, {steps} steps at {setting.learning_rate:g}, {trained:,.0f} s")
    print(f"teacher: {measurer.teacher_score:.4f} on {len(rows)} development rows\n")
    print("| weights without embeddings | score | error | alone | architecture |\n|---|---|---|---|---|")
    found: list[tuple[float, float, float]] = []
    alone = set(chosen[np.unique(np.linspace(0, len(chosen) - 1, options.alone).astype(int))] if options.alone else [])
    for place in chosen:
        architecture = candidates[int(place)]
        entry = measurer.measure(CandidateRun(architecture=architecture, theta={}, replicate=0))
        score = _alone(optimizer, architecture, splits, options) if place in alone else None
        if score is not None:
            found.append((entry["error"], entry["score"], score))
        print(
            f"| {sizes[place] / whole:.2%} | {entry['score']:.4f} | {entry['error']:.4f} | "
            f"{'' if score is None else f'{score:.4f}'} | {dict(architecture)} |",
            flush=True,
        )
    if len(found) > 2:
        errors, scores, finished = np.array(found).T
        print(f"\nrank correlation with the score alone: error {-spearmanr(errors, finished).statistic:.2f}, ", end="")
        print(f"score {spearmanr(scores, finished).statistic:.2f} ({len(found)} candidates)")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--teacher", type=Path, required=True, help="folder of a fine-tuned teacher")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds trec6/ and so on")
    parser.add_argument("--set", choices=students.AIMS, required=True)
    parser.add_argument("--work", type=Path, default=Path("out/elastic"), help="folder for converted rows")
    parser.add_argument("--steps", type=int, help="of the elastic training (default: the product's)")
    parser.add_argument("--rate", type=float, help="peak learning rate (default: the product's)")
    parser.add_argument("--candidates", type=int, default=14, help="that are measured (default: 14)")
    parser.add_argument("--alone", type=int, default=0, help="that are also distilled on their own (default: none)")
    parser.add_argument("--alone-steps", type=int, default=700, help="of each of these (default: 700)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _alone(optimizer: OSEOptimizer, architecture: Architecture, splits: Splits, options: Any) -> float:
    student = optimizer.initialize(architecture, calibration_dataset=splits.train)
    config = DistillationConfig(num_steps=options.alone_steps, seed=options.seed)
    optimizer.distill(student, splits.train, config)
    return optimizer.score(student, splits.validation)


if __name__ == "__main__":
    main()
