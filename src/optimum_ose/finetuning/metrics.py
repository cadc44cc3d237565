"""The metric of a task, as a Trainer takes it."""

from collections.abc import Callable, Sequence

from transformers import EvalPrediction, PretrainedConfig

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.tasks import labeled_task
from optimum_ose.tasks.parts.labeled import LABELED_PROBLEMS
from optimum_ose.tasks.parts.problem import Metric
from optimum_ose.wording import shown


def compute_metrics_for(
    task: str, config: PretrainedConfig | None = None
) -> Callable[[EvalPrediction], dict[str, float]]:
    """The `compute_metrics` of a Trainer.

    Of classes "accuracy" and "f1_macro"; of several classes also "f1_micro"; of numbers "spearman" and "pearson"; of
    tags "accuracy" and "f1_macro" over labeled positions and, where tags mark entities (B-, I-, O) and `config` names
    them, their "precision", "recall" and "f1".

    Args:
        task: whose rows have labels.
        config: the model's; None: a classifier with one class a row, tags without names.

    Raises:
        UnsupportedModelError: if the task has no labels.
    """
    return labeled_task(task).metric(config).compute


def task_metric(*, problem: str, label_names: Sequence[str] = ()) -> Metric:
    """How answers of a kind are judged.

    Args:
        problem: name of the kind, such as those of `tasks.parts`.
        label_names: of the classes, by index.

    Raises:
        UnsupportedModelError: if there is no such kind with labels.
    """
    known = {item.name: item.metric for item in LABELED_PROBLEMS if item.metric is not None}
    if problem not in known:
        raise UnsupportedModelError(
            f"problem must be one of {', '.join(known)}", f"got {shown(problem)}", "Choose one of them"
        )
    return known[problem](label_names)


TaskMetric = task_metric
"""The same, by the name of a class that it replaced."""
