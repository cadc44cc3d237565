"""What a classifier answers, by the `problem_type` of its config."""

from collections.abc import Mapping

from transformers import PretrainedConfig

from optimum_ose.data.targets import PROBLEM_TYPES, Kind
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.tasks.parts.multi_label import MULTI_LABEL
from optimum_ose.tasks.parts.problem import Problem
from optimum_ose.tasks.parts.regression import REGRESSION
from optimum_ose.tasks.parts.single_label import SINGLE_LABEL
from optimum_ose.wording import shown

_PROBLEMS: Mapping[str | None, Problem] = {
    "regression": REGRESSION,
    "multi_label_classification": MULTI_LABEL,
    "single_label_classification": SINGLE_LABEL,
}

_MEANINGS: Mapping[Kind, str] = {
    "class": "one class for each row",
    "classes": "a set of classes for each row",
    "number": "one number for each row",
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
    if named is not None and not (isinstance(named, str) and named in _PROBLEMS):
        raise InvalidConfigError(
            f"problem_type of config.json must be one of {', '.join(PROBLEM_TYPES.values())}",
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


def require_fitting_head(kind: Kind, config: PretrainedConfig) -> None:
    """Pass if a head answers what rows are labeled with.

    Raises:
        InvalidDataError: if it answers something else: a number instead of a class, and so on.
    """
    if kind not in PROBLEM_TYPES:
        return
    types, wanted = (None, PROBLEM_TYPES[kind]), _MEANINGS[kind]
    named, outputs = getattr(config, "problem_type", None), int(config.num_labels or 0)
    if kind == "number" and outputs != 1:
        raise InvalidDataError(
            "A teacher of rows labeled with numbers must have a head of one output",
            f"this one has {outputs}",
            "Give data of its classes, or a teacher without a head: it is then fine-tuned first",
        )
    if named not in types or (kind == "class" and outputs == 1):
        answers = {"regression": "numbers", "multi_label_classification": "sets of classes"}.get(
            str(named), "one number" if outputs == 1 else "one class for each row"
        )
        raise InvalidDataError(
            "The teacher's head must answer what the rows are labeled with",
            f"the labels are {wanted}; the head has {outputs} output{'s' * (outputs != 1)} and answers {answers}",
            "Give labels of that kind, name another problem type (problem_type), or give a teacher without a head",
        )
