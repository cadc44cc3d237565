"""What a classifier answers, by the `problem_type` of its config."""

from collections.abc import Mapping

from transformers import PretrainedConfig

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.tasks.parts.multi_label import MULTI_LABEL
from optimum_ose.tasks.parts.problem import Problem
from optimum_ose.tasks.parts.regression import REGRESSION
from optimum_ose.tasks.parts.single_label import SINGLE_LABEL

_PROBLEMS: Mapping[str | None, Problem] = {
    "regression": REGRESSION,
    "multi_label_classification": MULTI_LABEL,
    "single_label_classification": SINGLE_LABEL,
}


def problem_by_type(config: PretrainedConfig) -> Problem:
    """The problem that `problem_type` names. Without a name, one output answers a number, as Transformers' losses take
    it, and several answer a class.
    """
    named = _PROBLEMS.get(getattr(config, "problem_type", None))
    return named or (REGRESSION if config.num_labels == 1 else SINGLE_LABEL)


def name_problem_type(config: PretrainedConfig) -> None:
    """Let the config of a head of one output that names no `problem_type`, in place, say that it answers a number: it
    is then served as it is judged.
    """
    if problem_by_type(config) is REGRESSION:
        config.problem_type = "regression"


def require_sound_head(config: PretrainedConfig) -> None:
    """Pass if what a trained head claims to answer is known and fits its number of outputs.

    Raises:
        InvalidConfigError: for another problem type, a regression with several outputs, or a single class.
    """
    named, count = getattr(config, "problem_type", None), int(config.num_labels or 0)
    if named not in _PROBLEMS and named is not None:
        raise InvalidConfigError(
            f"problem_type of config.json must be one of {', '.join(_PROBLEMS)}",
            f"got {shown(named)}",
            "Correct problem_type in config.json, or remove it",
        )
    if named == "regression" and count != 1:
        raise InvalidConfigError(
            "A regression must have one output",
            f"problem_type of config.json is 'regression', and the head has {count} outputs",
            "Correct problem_type or id2label in config.json",
        )
    if named == "single_label_classification" and count < 2:
        raise InvalidConfigError(
            "A classification must have at least two classes",
            f"problem_type of config.json is 'single_label_classification', and the head has {count} outputs",
            "Correct problem_type or id2label in config.json",
        )
