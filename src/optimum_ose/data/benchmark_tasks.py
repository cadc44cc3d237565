"""GLUE, SuperGLUE and RACE as task definitions: which columns hold what, which classes there are, what is measured."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd

from optimum_ose.data import benchmark_rows
from optimum_ose.data.benchmark_rows import Example
from optimum_ose.data.groups import CREDIT, GROUP, numbered
from optimum_ose.data.targets import Kind, clean_label, is_list
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.wording import listed, shown

Metric = Literal[
    "accuracy",
    "f1",
    "f1_macro",
    "matthews_correlation",
    "spearman",
    "pearson",
    "exact_match",
    "f1_a",
    "f1_m",
    "gender_parity",
]
Form = Literal["rows", "choices", "answers"]
"""How rows are judged: each by itself; one is chosen of a group; each of a group is right or wrong."""
_ENTAILMENT = ("entailment", "not_entailment")
_NO_YES = ("False", "True")
_RIGHT = ("wrong", "right")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkTask:
    """One task of a published benchmark."""

    columns: tuple[str, ...]
    """Columns that a table must have, besides the label."""
    examples: Callable[[Mapping[str, Any]], Sequence[Example]]
    """What one row of the table becomes: one example, or one per answer to choose from."""
    label_names: tuple[str, ...] = ()
    """Classes by their index in the files; none where the label is a number."""
    label_column: str = "label"
    """Column of the label."""
    metrics: tuple[Metric, ...] = ("accuracy",)
    """What the benchmark reports; the first decides."""
    form: Form = "rows"
    """How rows are judged."""
    has_fixed_choices: bool = False
    """Whether each question has as many choices as the others, one of which is right."""
    group: Callable[[Mapping[str, Any]], Hashable] | None = None
    """What rows of the table have in common that belong together; None: each is a group of its own."""
    validation: str = "validation"
    """Name of the split that steers."""
    further: str | None = None
    """Name of a second such split, on which the benchmark scores the student as well."""
    trains_on: str | None = None
    """The task whose rows teach a diagnostic task, which has none of its own."""
    kind: Kind = "class"
    """What one label is."""

    @property
    def is_grouped(self) -> bool:
        """Whether rows belong together."""
        return self.form != "rows"


def named_benchmark_task(name: str) -> BenchmarkTask:
    """The definition of a task, by a name such as "glue/sst2".

    Raises:
        InvalidConfigError: if there is no such task.
    """
    if name not in BENCHMARK_TASKS:
        raise InvalidConfigError(
            f"--benchmark-task must be one of {', '.join(BENCHMARK_TASKS)}",
            f"got {shown(name)}",
            "Choose one of these",
        )
    return BENCHMARK_TASKS[name]


def benchmark_task(name: str) -> BenchmarkTask:
    """The definition of a task that can be trained, by its name.

    Raises:
        InvalidConfigError: if there is no such task, or it is a diagnostic one, without training rows.
    """
    task = named_benchmark_task(name)
    if task.trains_on is not None:
        raise InvalidConfigError(
            "--benchmark-task must name a task with training rows",
            f"{name} is a diagnostic set",
            f"Train on {task.trains_on} (--benchmark-task {task.trains_on}), then score that student on {name}: "
            f"`optimum-cli ose bench FOLDER --benchmark-task {name} --dataset FILE`",
        )
    return task


def benchmark_tables(task: BenchmarkTask, tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The splits as tables of `text`, maybe `text_pair`, `label` (a class name, or a number), `group` and maybe
    `credit`.

    Rows of one group belong together, as the answers to one question do. Rows without a label, as the published test
    splits have them, are left out, and so is a split that has no other.

    Args:
        task: the definition.
        tables: split name -> table with the benchmark's own columns.

    Raises:
        InvalidDataError: if a column is missing, or a label is none of the task's.
    """
    made = {split: _examples_of(task, table, split) for split, table in tables.items()}
    kept = {split: table for split, table in made.items() if len(table)}
    if "train" in made and "train" not in kept:
        raise InvalidDataError(
            "The training rows must have labels", "none of them has one", "Give the benchmark's own training split"
        )
    return kept


def _examples_of(task: BenchmarkTask, table: pd.DataFrame, split: str) -> pd.DataFrame:
    missing = [name for name in (*task.columns, task.label_column) if name not in table.columns]
    if missing:
        raise InvalidDataError(
            f"The {split} split of this task must have the columns {listed((*task.columns, task.label_column))}",
            f"it lacks {listed(missing)}",
            "Give the benchmark's own files, or name the columns yourself without a benchmark task",
        )
    rows: list[tuple[Any, ...]] = []
    keys: list[Hashable] = []
    for number, row in enumerate(table.to_dict("records")):
        if not _is_unlabeled(row[task.label_column]):
            found = [example._replace(label=_label(task, example.label)) for example in _examples(task, row, number)]
            own = None if task.group is None else task.group(row)
            rows += found
            keys += [(number,) if own is None else own] * len(found)
    made = pd.DataFrame(rows, columns=["text", "text_pair", "label", CREDIT]).assign(**{GROUP: numbered(keys)})
    return made.drop(columns=[name for name in ("text_pair", CREDIT) if made[name].isna().all()])


def _examples(task: BenchmarkTask, row: Mapping[str, Any], number: int) -> Sequence[Example]:
    try:
        return task.examples(row)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidDataError(
            "Every row of this task must hold what the benchmark's own rows hold",
            f"row {number} does not ({type(error).__name__}: {error}): {shown(dict(row), limit=200)}",
            "Give the benchmark's own files",
        ) from error


def _is_unlabeled(value: Any) -> bool:
    if is_list(value):
        return len(value) == 0
    return bool(pd.isna(value)) or str(value).strip() in {"-1", "-1.0", ""}


def _label(task: BenchmarkTask, value: Any) -> Any:
    try:
        if task.kind == "number":
            return clean_label(value, "number")
        text = clean_label(value, "class").removesuffix(".0")
    except ValueError as error:
        raise InvalidDataError(
            f"A label of this task must be {error}", f"got {shown(value)}", "Give the benchmark's own files"
        ) from error
    known = {name.casefold(): name for name in task.label_names}
    known |= {str(index): name for index, name in enumerate(task.label_names)}
    if text.casefold() not in known:
        raise InvalidDataError(
            f"A label of this task must be one of {', '.join(task.label_names)}, or its number",
            f"got {shown(value)}",
            "Give the benchmark's own files",
        )
    return known[text.casefold()]


def _task(columns: str, names: Sequence[str], *metrics: Metric, **settings: Any) -> BenchmarkTask:
    """A task of one text or two, in columns of their own."""
    parts = tuple(columns.split())
    examples = benchmark_rows.single(*parts) if len(parts) == 1 else benchmark_rows.pair(*parts)
    return BenchmarkTask(
        columns=parts, examples=examples, label_names=tuple(names), metrics=metrics or ("accuracy",), **settings
    )


_NLI = ("entailment", "neutral", "contradiction")
_RACE = BenchmarkTask(
    columns=("article", "question", "options"),
    examples=benchmark_rows.race,
    label_names=_RIGHT,
    label_column="answer",
    form="choices",
    has_fixed_choices=True,
)

BENCHMARK_TASKS: Mapping[str, BenchmarkTask] = MappingProxyType(
    {
        "glue/cola": _task("sentence", ("unacceptable", "acceptable"), "matthews_correlation"),
        "glue/sst2": _task("sentence", ("negative", "positive")),
        "glue/mrpc": _task("sentence1 sentence2", ("not_equivalent", "equivalent"), "f1", "accuracy"),
        "glue/qqp": _task("question1 question2", ("not_duplicate", "duplicate"), "f1", "accuracy"),
        "glue/stsb": _task("sentence1 sentence2", (), "spearman", "pearson", kind="number"),
        "glue/mnli": _task(
            "premise hypothesis", _NLI, validation="validation_matched", further="validation_mismatched"
        ),
        "glue/qnli": _task("question sentence", _ENTAILMENT),
        "glue/rte": _task("sentence1 sentence2", _ENTAILMENT),
        "glue/wnli": _task("sentence1 sentence2", ("not_entailment", "entailment")),
        "glue/ax": _task("premise hypothesis", _NLI, "matthews_correlation", trains_on="glue/mnli"),
        "superglue/boolq": _task("question passage", _NO_YES),
        "superglue/cb": _task("premise hypothesis", ("entailment", "contradiction", "neutral"), "f1_macro", "accuracy"),
        "superglue/copa": BenchmarkTask(
            columns=("premise", "choice1", "choice2", "question"),
            examples=benchmark_rows.copa,
            label_names=_RIGHT,
            form="choices",
            has_fixed_choices=True,
        ),
        "superglue/multirc": BenchmarkTask(
            columns=("paragraph", "question", "answer"),
            examples=benchmark_rows.multirc,
            label_names=_NO_YES,
            metrics=("f1_a", "exact_match", "f1_m"),
            form="answers",
            group=benchmark_rows.multirc_question,
        ),
        "superglue/record": BenchmarkTask(
            columns=("passage", "query", "entities"),
            examples=benchmark_rows.record,
            label_names=_RIGHT,
            label_column="answers",
            metrics=("f1", "exact_match"),
            form="choices",
        ),
        "superglue/rte": _task("premise hypothesis", _ENTAILMENT),
        "superglue/wic": BenchmarkTask(
            columns=("word", "sentence1", "sentence2"), examples=benchmark_rows.wic, label_names=_NO_YES
        ),
        "superglue/wsc": BenchmarkTask(
            columns=("text", "span1_text", "span2_text"), examples=benchmark_rows.wsc, label_names=_NO_YES
        ),
        "superglue/axb": _task("sentence1 sentence2", _ENTAILMENT, "matthews_correlation", trains_on="superglue/rte"),
        "superglue/axg": _task(
            "premise hypothesis",
            _ENTAILMENT,
            "accuracy",
            "gender_parity",
            trains_on="superglue/rte",
            group=benchmark_rows.minimal_pair,
        ),
        "race/all": _RACE,
        "race/middle": _RACE,
        "race/high": _RACE,
    }
)
"""The 23 tasks, by "benchmark/task"; columns and numbers of classes as the Hub's data sets have them. How the choice
among several answers becomes pairs of texts is ours."""
