"""The metric of a task, as a Trainer takes it."""

from collections.abc import Callable

from transformers import EvalPrediction, PretrainedConfig

from optimum_ose.tasks import labeled_task


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
