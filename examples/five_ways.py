"""The article's comparison: five ways to fine-tune a small model on scarce data, and plain token replacement.

    python examples/five_ways.py --dataset banking77.csv --per-class 5 --output out/five_ways

A linear head; + distillation; + a deeper head; + a hyperparameter search over Theta; + Agora; and, in the manner of
EDA, token replacement with as many added rows, with labels only and with distillation. The teacher is what a user owns:
it was fine-tuned on rows that the student never sees; few others are left for the student. As many again are
development rows, which choose among Theta and which Agora studies; the teacher has seen neither. Every way starts from
the same student, which inherits from the teacher, and gets as many optimizer steps of no more rows each; the teacher's
answers, where it is asked, have one temperature. Test rows are looked at once per way, at the end.
`benchmarks/agora.py` runs the same on other data sets and seeds.

Needs the extra `report` and the packages of examples/demo-packages.txt.
"""

import argparse
import itertools
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, concatenate_datasets
from demo import teacher_folder
from matplotlib.figure import Figure
from transformers import PreTrainedModel, TrainingArguments

from optimum_ose import AgoraConfig, Architecture, DistillationConfig, OSEOptimizer
from optimum_ose.data.columns import Columns
from optimum_ose.data.reading import read_file
from optimum_ose.data.splits import Splits, make_splits
from optimum_ose.exceptions import LabelerError
from optimum_ose.finetuning.callback import AgoraCallback
from optimum_ose.finetuning.perturbation import NeighborReplacement
from optimum_ose.finetuning.trainer import build_trainer
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.optimizer.folders import save_as
from optimum_ose.optimizer.trainer_arguments import teacher_arguments

STUDENT = Architecture(num_hidden_layers=2, num_attention_heads=6, hidden_size=192, intermediate_size=384)
"""Of MiniLM-L6 (6 layers, 384 wide, 1536 inner): 5.6% of its weights without embeddings."""
THETA = ({"learning_rate": 2e-4}, {"learning_rate": 5e-4}, {"learning_rate": 1e-3})
AGORA = AgoraConfig(
    points_per_mistake=2,
    points_per_row=1,
    max_distance=4.0,
    replacement_probability=0.4,
    label_temperature=2.0,
    max_attempts=2,
    initial_round=True,
    minimum_labeler_accuracy=0.5,
)
"""The least accuracy of the labeler is below the 2/3 that the article asks for: rte's teacher is near it.
How many times its points are made follows from the steps: see `_points_factor`.
"""
NUM_ROUNDS = 5
BATCH_SIZE = 32
NUM_OWN_ROWS, NUM_OWN_EPOCHS = (8, 16), 20
"""Of a batch of Agora, the least and the most rows of the training set; between them, so that each is seen so often."""
KEPT_LABEL_PROBABILITY = 0.1
"""Share of the words that plain replacement replaces: fewer than Agora, for the label has to stay right; EDA's own."""
LEARNING_RATE = 5e-4
"""Of every way but the search: the middle of Theta."""

NUM_STEPS = 900
NUM_TEACHER_EPOCHS, MAX_TEACHER_STEPS = 4, 800
ASIDE_SHARE, MIN_ASIDE = 0.2, 20
"""Of each class, what the teacher does not see: a share of the rows, and at least so many."""
MAX_TEST_ROWS = 3_000
MAX_LENGTH = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all ways share: the rows, the teacher, the student's beginning, the number of steps."""

    optimizer: OSEOptimizer
    train: Dataset
    dev: Dataset
    test: Dataset
    num_steps: int
    seed: int

    def student(self) -> PreTrainedModel:
        """A fresh student that inherits from the teacher."""
        return self.optimizer.initialize(STUDENT, calibration_dataset=self.train)

    def accuracy(self, model: PreTrainedModel, rows: Dataset) -> float:
        """Share of the rows that a model gets right."""
        answers = predict_logits(model, rows, tokenizer=self.optimizer.tokenizer).argmax(axis=1)
        return float(np.mean(answers == np.array(rows["labels"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one way came to."""

    dev: float
    test: float
    num_added: int = 0
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A finished student of one way."""

    model: PreTrainedModel
    num_added: int = 0
    remark: str = ""


def linear_head(setting: Setting) -> Way:
    """Labels only, through the classifier that the teacher's task gives."""
    return Way(model=_distilled(setting, setting.student(), setting.train, logits_weight=0.0, labels_weight=1.0))


def distillation(setting: Setting) -> Way:
    """The teacher's answers, beside the labels."""
    return Way(model=_distilled(setting, setting.student(), setting.train))


def deeper_head(setting: Setting) -> Way:
    """Distillation of a student with one more layer in front of its classifier."""
    student: Any = setting.student()
    width = student.config.hidden_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        between = torch.nn.Linear(width, width)
    student.classifier = torch.nn.Sequential(between, torch.nn.GELU(), student.classifier)
    return Way(model=_distilled(setting, student, setting.train))


def hyperparameter_search(setting: Setting) -> Way:
    """Distillation with each set of Theta for its share of the steps; the best on development rows."""
    share = setting.num_steps // len(THETA)
    made = [_distilled(setting, setting.student(), setting.train, num_steps=share, **theta) for theta in THETA]
    scores = [setting.accuracy(model, setting.dev) for model in made]
    return Way(model=made[int(np.argmax(scores))], remark=str(dict(THETA[int(np.argmax(scores))])))


def agora(setting: Setting) -> Way:
    """Distillation on labels and the teacher's answers inside Trainer, with new rows near the mistakes."""
    student, tokenizer = setting.student(), setting.optimizer.tokenizer
    batch = int(np.clip(math.ceil(NUM_OWN_EPOCHS * len(setting.train) / setting.num_steps), *NUM_OWN_ROWS))
    num_epochs = setting.num_steps / np.ceil(len(setting.train) / batch)
    factor = _points_factor(setting, (BATCH_SIZE - batch) * setting.num_steps)
    settings = replace(
        AGORA,
        points_per_mistake=factor * AGORA.points_per_mistake,
        points_per_row=factor * AGORA.points_per_row,
        pool_share=BATCH_SIZE / batch - 1,
        epochs_per_round=max(1, int(num_epochs // NUM_ROUNDS)),
        seed=setting.seed,
    )
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=setting.num_steps,
            per_device_train_batch_size=batch,
            learning_rate=LEARNING_RATE,
            weight_decay=0.01,
            warmup_steps=10,
            seed=setting.seed,
            save_strategy="no",
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = build_trainer(
            student,
            arguments,
            train_dataset=setting.train,
            eval_dataset=setting.dev,
            tokenizer=tokenizer,
            agora=settings,
            labeler=setting.optimizer.teacher,
        )
        try:
            trainer.train()
        except LabelerError as error:
            return Way(model=student, remark=str(error))
    callback = next(item for item in trainer.callback_handler.callbacks if isinstance(item, AgoraCallback))
    student.eval()
    return Way(model=student, num_added=sum(report.num_accepted for report in callback.rounds))


def token_replacement(setting: Setting, num_added: int, *, with_teacher: bool) -> Way:
    """Copies of training rows in which words gave way to their neighbors, with the labels of the originals."""
    optimizer, generator = setting.optimizer, np.random.default_rng(setting.seed)
    replace_words = NeighborReplacement.among_embeddings_of(
        optimizer.teacher,
        optimizer.tokenizer,
        probability=KEPT_LABEL_PROBABILITY,
        num_neighbors=AGORA.num_neighbors,
    )
    rows = [dict(setting.train[int(index)]) for index in generator.integers(len(setting.train), size=num_added)]
    made = replace_words(rows, generator=generator)
    both = setting.train
    if made:
        both = concatenate_datasets([both, Dataset.from_list([dict(row) for row in made], features=both.features)])
    weights_of = {} if with_teacher else {"logits_weight": 0.0, "labels_weight": 1.0}
    return Way(model=_distilled(setting, setting.student(), both, **weights_of), num_added=len(made))


def five_ways(setting: Setting, *, skip: Collection[str] = (), num_added: int = 0) -> Iterator[tuple[str, Outcome]]:
    """Every way's name and outcome, as they end; Agora first, for it tells how many rows the replacement may add.

    Args:
        setting: what they share.
        skip: ways that are left out.
        num_added: rows that Agora added, if it is left out.
    """
    ways: dict[str, Callable[[], Way]] = {
        "agora": lambda: agora(setting),
        "linear head": lambda: linear_head(setting),
        "distillation": lambda: distillation(setting),
        "deeper head": lambda: deeper_head(setting),
        "search": lambda: hyperparameter_search(setting),
        "replacement": lambda: token_replacement(setting, num_added, with_teacher=False),
        "replacement + distillation": lambda: token_replacement(setting, num_added, with_teacher=True),
    }
    for name, way in ways.items():
        if name not in skip:
            made = way()
            num_added = made.num_added if name == "agora" else num_added
            yield name, _judged(setting, made)


def set_aside(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that the teacher is fine-tuned on, and those that are put aside for students; the same in each call."""
    shuffled = table.sample(frac=1.0, random_state=0).reset_index(drop=True)
    sizes = shuffled.groupby("label")["label"].transform("size")
    is_aside = shuffled.groupby("label").cumcount() < np.maximum(ASIDE_SHARE * sizes, MIN_ASIDE)
    return shuffled[~is_aside], shuffled[is_aside]


def scarce_splits(
    aside: pd.DataFrame, test: pd.DataFrame | None, *, per_class: int | None, num_rows: int, seed: int
) -> Splits:
    """Few training rows, as many development rows, and test rows, a random 3,000 at most: files are sorted by class.

    Args:
        aside: rows that the teacher has not seen, with the columns text, maybe text_pair, and label.
        test: the same columns; None: what is left of the former.
        per_class: rows of each class; None: `num_rows` rows of all.
        num_rows: see there.
        seed: of the draw, which is repeated until each class has a training row.
    """
    count, num_classes = per_class or num_rows, aside["label"].nunique()
    if num_classes > count and not per_class:
        raise SystemExit(f"--rows must be at least the number of classes; there are {num_classes}. Ask for more rows.")
    for attempt in itertools.count():
        shuffled = aside.sample(frac=1.0, random_state=seed + 1_000 * attempt).reset_index(drop=True)
        order = shuffled.groupby("label").cumcount() if per_class else pd.Series(range(len(shuffled)))
        if shuffled.loc[order < count, "label"].nunique() == num_classes:
            break
    judged = shuffled[order >= 2 * count] if test is None else test
    drawn = {
        "train": shuffled[order < count],
        "validation": shuffled[(count <= order) & (order < 2 * count)],
        "test": judged.sample(min(len(judged), MAX_TEST_ROWS), random_state=0),
    }
    return make_splits(drawn, _columns(aside), seed=seed)


def own_teacher(
    table: pd.DataFrame,
    aside: pd.DataFrame,
    folder: Path,
    *,
    start: Path | None = None,
    num_epochs: int = NUM_TEACHER_EPOCHS,
) -> Path:
    """The folder of a teacher fine-tuned on the rows of a table; one that is there is kept.

    Args:
        table: the rows, with the columns text, maybe text_pair, and label.
        aside: rows to score it on.
        folder: where it goes.
        start: folder of the network that is fine-tuned; None: MiniLM-L6.
        num_epochs: passes through the rows, if they fit in 800 steps.
    """
    if (folder / "config.json").is_file():
        return folder
    splits = make_splits({"train": table, "validation": aside, "test": aside}, _columns(table), seed=0)
    optimizer = OSEOptimizer.from_pretrained(
        start or teacher_folder(), num_labels=len(splits.label_names), max_length=MAX_LENGTH
    )
    with TemporaryDirectory() as scratch:
        max_steps = min(MAX_TEACHER_STEPS, num_epochs * math.ceil(len(splits.train) / BATCH_SIZE))
        overrides = {"max_steps": max_steps, "per_device_train_batch_size": BATCH_SIZE, "save_strategy": "no"}
        arguments = teacher_arguments(Path(scratch), optimizer.teacher.config, overrides, num_rows=len(splits.train))
        optimizer.finetune_teacher(splits.train, splits.validation, arguments)
    save_as(optimizer.teacher, optimizer.tokenizer, folder)
    return folder


def prepare(splits: Splits, teacher: Path, *, seed: int, num_steps: int = NUM_STEPS) -> Setting:
    """Load the teacher and tokenize the rows.

    Args:
        splits: the student's rows.
        teacher: its folder.
        seed: of everything random.
        num_steps: optimizer steps of each way.
    """
    optimizer = OSEOptimizer.from_pretrained(teacher, max_length=MAX_LENGTH)
    train, dev, test = (optimizer.rows(rows) for rows in (splits.train, splits.validation, splits.test))
    return Setting(optimizer=optimizer, train=train, dev=dev, test=test, num_steps=num_steps, seed=seed)


def _columns(table: pd.DataFrame) -> Columns:
    return Columns(text="text", text_pair="text_pair" if "text_pair" in table.columns else None, label="label")


def _points_factor(setting: Setting, num_drawn: int) -> int:
    """How many times the points of `AGORA` are proposed, so that all rounds propose a row for each that is drawn.

    One round more than `NUM_ROUNDS` is made, before the first step.
    """
    return math.ceil(num_drawn / ((NUM_ROUNDS + 1) * (len(setting.train) + len(setting.dev))))


def _distilled(setting: Setting, student: PreTrainedModel, rows: Dataset, **changes: Any) -> PreTrainedModel:
    config = DistillationConfig(
        num_steps=setting.num_steps,
        learning_rate=LEARNING_RATE,
        temperature=AGORA.label_temperature,
        seed=setting.seed,
    )
    return setting.optimizer.distill(student, rows, replace(config, **changes))


def _judged(setting: Setting, way: Way) -> Outcome:
    return Outcome(
        dev=setting.accuracy(way.model, setting.dev),
        test=setting.accuracy(way.model, setting.test),
        num_added=way.num_added,
        remark=way.remark,
    )


def draw(outcomes: dict[str, Outcome], teacher: float, path: Path) -> None:
    """A bar per way, and the teacher's accuracy as a line."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot(title="Test accuracy of a small student on scarce data, at equal steps")
    names = list(outcomes)
    axes.barh(
        names, [outcomes[name].test for name in names], color=["#21618c" if n == "agora" else "0.7" for n in names]
    )
    for index, name in enumerate(names):
        axes.text(outcomes[name].test, index, f" {outcomes[name].test:.1%}", va="center")
    axes.axvline(teacher, color="#c0502d", linestyle="--", label=f"teacher {teacher:.1%}")
    axes.set_xlim(0, 1.1)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Go the ways, print the table, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="a file with a text and a label column")
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--label-column", default="category")
    parser.add_argument("--per-class", type=int, help="training rows of each class")
    parser.add_argument("--rows", type=int, default=100, help="training rows, without --per-class")
    parser.add_argument("--steps", type=int, default=NUM_STEPS, help="optimizer steps of each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("out/five_ways"), help="folder of picture and teacher")
    options = parser.parse_args()
    table = read_file(options.dataset)
    table = pd.DataFrame({"text": table[options.text_column], "label": table[options.label_column]})
    owned, aside = set_aside(table)
    folder = own_teacher(owned, aside, options.output / "teacher")
    splits = scarce_splits(aside, None, per_class=options.per_class, num_rows=options.rows, seed=options.seed)
    setting = prepare(splits, folder, seed=options.seed, num_steps=options.steps)
    teacher = setting.accuracy(setting.optimizer.teacher, setting.test)
    print(f"{len(setting.train)} training, {len(setting.dev)} development, {len(setting.test)} test rows")
    print(f"{'way':<28} {'development':>12} {'test':>8} {'rows added':>11}", flush=True)
    outcomes = {}
    for name, outcome in five_ways(setting):
        outcomes[name] = outcome
        print(
            f"{name:<28} {outcome.dev:>12.3f} {outcome.test:>8.3f} {outcome.num_added:>11} {outcome.remark}", flush=True
        )
    print(f"{'(teacher)':<28} {'':>12} {teacher:>8.3f}")
    draw(outcomes, teacher, options.output / "five_ways.png")
    print(f"drawn in {options.output}")


if __name__ == "__main__":
    main()
