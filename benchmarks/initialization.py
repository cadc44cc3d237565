"""Owns the benchmark of what a student knows before its first step, and after a few.

Random architectures of a fine-tuned teacher are initialized in four ways: from scratch; the first channels of the
first layers; inherited by importance; inherited and repaired, which is what `OSEOptimizer.initialize` does; on request
also repaired from layers that are not taken evenly, but by what they are worth. The distance is the KL divergence of
the student's class probabilities from the teacher's on development rows that no way has seen.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose import Architecture, DistillationConfig, OSEOptimizer
from optimum_ose.configuration import LayerSelection
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_tables
from optimum_ose.data.splits import make_splits
from optimum_ose.distillation.loop import distill
from optimum_ose.distillation.teaching import with_teacher_logits
from optimum_ose.modeling.axes import HEADS, HIDDEN, LAYERS
from optimum_ose.modeling.inheritance import Inheritance, choose, find_origins
from optimum_ose.modeling.initialization import from_scratch, inherit
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.optimizer.students import StudentMaker
from optimum_ose.tasks.parts.losses import cross_entropy_to_teacher

ARMS = ("scratch", "first", "inherited", "repaired")
SELECTIONS: tuple[LayerSelection, ...] = ("block-influence", "loss-when-dropped")


def main() -> int:
    """Run the benchmark; the exit code is 1 if the repaired student is nearest before training in less than 95%."""
    options = _parse()
    distances = []
    arms = (*ARMS, *options.layer_selections)
    print(f"{'data':10s} {'architecture':44s} {'step':>5s}  " + "  ".join(f"{arm:>10s}" for arm in arms), flush=True)
    for source in options.pairs:
        teacher, data = source.split(":")
        for architecture, step, row in _measure(teacher, data, options):
            sizes = " ".join(f"{axis.split('_')[-1][:6]}={value}" for axis, value in architecture.items())
            print(f"{Path(data).name:10s} {sizes:44s} {step:5d}  " + "  ".join(f"{d:10.4f}" for d in row), flush=True)
            if step == 0:
                distances.append(row)
    table = np.array(distances)
    repaired = table[:, ARMS.index("repaired")]
    share = float(np.mean(repaired < table[:, : len(ARMS) - 1].min(axis=1)))
    print(f"mean distance before training: {dict(zip(arms, table.mean(axis=0).round(4).tolist(), strict=True))}")
    for arm, of_arm in zip(arms[len(ARMS) :], table[:, len(ARMS) :].T, strict=True):
        print(
            f"{arm} is nearer than evenly taken layers in {np.sum(of_arm < repaired)}, as near in "
            f"{np.sum(of_arm == repaired)} of {len(table)} pairs"
        )
    print(f"the repaired student is nearest before training in {share:.1%} of {len(table)} pairs (aim: 95%)")
    return int(share < 0.95)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python benchmarks/initialization.py out/trec6/teacher:data/trec6 --architectures 25",
    )
    parser.add_argument("pairs", nargs="+", help="TEACHER:DATA, a fine-tuned teacher's folder and its data set")
    parser.add_argument("--architectures", type=int, default=25, help="random architectures per pair (default: 25)")
    parser.add_argument("--steps", type=int, nargs="*", default=[], help="also after so many distillation steps")
    parser.add_argument(
        "--layer-selections", nargs="*", choices=SELECTIONS, default=[], help="further arms, repaired as well"
    )
    parser.add_argument("--rows", type=int, default=512, help="development rows (default: 512)")
    parser.add_argument("--seed", type=int, default=0, help="of the architectures (default: 0)")
    return parser.parse_args()


def _measure(
    folder: str, data: str, options: argparse.Namespace
) -> Iterator[tuple[Architecture, int, tuple[float, ...]]]:
    optimizer = OSEOptimizer.from_pretrained(folder, max_length=64)
    splits = make_splits(read_tables(data), Columns(), seed=0)
    development = optimizer.rows(splits.validation)
    development = development.shuffle(seed=0).select(range(min(options.rows, len(development))))
    train = with_teacher_logits(optimizer.rows(splits.train), optimizer.teacher, tokenizer=optimizer.tokenizer)
    answers = _answers(optimizer, optimizer.teacher, development)
    floor = float(cross_entropy_to_teacher(answers, answers))
    makers = {
        arm: StudentMaker(
            optimizer.teacher, optimizer.tokenizer, task=optimizer.task, rows=train, layer_selection=selection
        )
        for arm, selection in {"repaired": "even", **{name: name for name in options.layer_selections}}.items()
    }
    space = optimizer.search_space()
    smaller = [architecture for architecture in space if architecture != space.maximum_point]
    draw = np.random.default_rng(options.seed)
    for index in draw.choice(len(smaller), min(options.architectures, len(smaller)), replace=False).tolist():
        for step in (0, *options.steps):
            row = []
            for arm in (*ARMS, *options.layer_selections):
                maker = makers.get(arm, makers["repaired"])
                student = _student(arm, optimizer.teacher, smaller[index], maker, optimizer.task)
                if step:
                    config = DistillationConfig(num_steps=step, learning_rate=3e-4)
                    distill(student, optimizer.teacher, rows=train, tokenizer=optimizer.tokenizer, config=config)
                row.append(float(cross_entropy_to_teacher(_answers(optimizer, student, development), answers)) - floor)
            yield smaller[index], step, tuple(row)


def _answers(optimizer: OSEOptimizer, model: PreTrainedModel, rows: Dataset) -> torch.Tensor:
    return torch.from_numpy(predict_logits(model, rows, tokenizer=optimizer.tokenizer)).double()


def _student(
    arm: str, teacher: PreTrainedModel, architecture: Architecture, maker: StudentMaker, task: str
) -> PreTrainedModel:
    if arm == "repaired" or arm in SELECTIONS:
        return maker(architecture)
    if arm == "scratch":
        return from_scratch(teacher, architecture, task=task, seed=0)
    importance = maker.importance
    if arm == "inherited":
        chosen = choose(architecture, importance)
    else:
        sizes = {"hidden_size": len(importance.residual), "head_size": importance.head_size}
        chosen = front(range(architecture[LAYERS]), architecture, **sizes)
    return inherit(
        teacher, architecture, task=task, origins=find_origins(teacher, architecture, maker.dimension_map, chosen)
    )


def front(layers: Sequence[int], architecture: Architecture, *, hidden_size: int, head_size: int) -> Inheritance:
    """The first channels, heads and neurons of some layers of a teacher of this hidden size."""
    inner = next(value for axis, value in architecture.items() if axis not in (LAYERS, HEADS, HIDDEN))
    heads = (tuple(range(architecture[HEADS])),) * len(layers)
    return Inheritance(
        layers=tuple(layers),
        residual=torch.eye(hidden_size, architecture[HIDDEN]),
        heads=heads,
        kv_heads=heads,
        head_size=head_size,
        inner=(tuple(range(inner)),) * len(layers),
    )


if __name__ == "__main__":
    sys.exit(main())
