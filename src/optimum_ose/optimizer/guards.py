"""Checks what the verbs of OSEOptimizer are given, before work is spent on it."""

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from datasets import Dataset
from transformers import (
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    SequenceFeatureExtractor,
    TrainerCallback,
    TrainingArguments,
)
from transformers.image_processing_utils import BaseImageProcessor

from optimum_ose.configuration import AgoraConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.results import SearchResult
from optimum_ose.data.given import plain_dataset
from optimum_ose.data.overlaps import told_overlaps
from optimum_ose.exceptions import InvalidArchitectureError, InvalidConfigError, UntouchedSplitWarning
from optimum_ose.guards import (
    described,
    path_or_none,
    require_config,
    require_kind,
    require_methods,
    require_whole_number,
)
from optimum_ose.modeling.axes import derive_axes, require_known
from optimum_ose.modeling.health import require_learnable, require_weights
from optimum_ose.modeling.reconfiguration import reconfigure
from optimum_ose.tasks.parts.problem import Problem
from optimum_ose.wording import listed

LEAST_TOKENS = 8
"""Fewer hold no text beside the special tokens."""
_HEAD = re.compile(r"(For|LMHead)[A-Z]?\w*$")

_Test = TypeVar("_Test", Dataset, Dataset | None)


def require_listener(listener: object) -> None:
    """Pass if something can hear of progress; None stands for the default.

    Raises:
        InvalidConfigError: if it cannot.
    """
    if listener is not None:
        require_methods(listener, ("stage", "advance", "say", "finish"), "listener")


def require_parts(teacher: Any, processor: object, max_length: object) -> None:
    """Pass if teacher, what makes its inputs, and the number of tokens are of the right kinds.

    Raises:
        InvalidConfigError: if one is not.
    """
    remedy = "Load both with OSEOptimizer.from_pretrained(folder_or_hub_id)"
    require_kind(teacher, PreTrainedModel, "teacher", remedy)
    require_weights(teacher, "teacher")
    kinds = (PreTrainedTokenizerBase, BaseImageProcessor, SequenceFeatureExtractor, ProcessorMixin)
    require_kind(processor, kinds, "tokenizer", remedy)
    require_whole_number(max_length, "max_length", least=LEAST_TOKENS)


def require_student(student: Any, teacher: PreTrainedModel, problem: Problem, *, num_tokens: int = 0) -> None:
    """Pass if a model can be trained as the teacher's student: in place, with the same answers and tokens.

    Args:
        student: what was passed.
        teacher: of the optimizer.
        problem: what an answer is.
        num_tokens: size of the tokenizer; 0 without one.

    Raises:
        InvalidConfigError: if it is no model of Transformers, the teacher, or has other answers or fewer tokens.
    """
    require_kind(student, PreTrainedModel, "student", "Pass the model that initialize returned, without a wrapper")
    require_learnable(student)
    if student is teacher or _share_weights(student, teacher):
        raise InvalidConfigError(
            "The student must be another model than the teacher, for it is changed in place",
            "the two are one, or share their weights",
            "Make a student with initialize, or pass copy.deepcopy(model)",
        )
    is_bare = student.base_model is student and type(student) is not type(teacher)
    if _HEAD.search(type(teacher).__name__) and is_bare:
        raise InvalidConfigError(
            "The student must have a head for the task, as the teacher has",
            f"got a {type(student).__name__}, without one, for a {type(teacher).__name__}",
            "Make a student with initialize, or load it with the Auto class of the task",
        )
    if problem.has_classes and student.config.num_labels != teacher.config.num_labels:
        raise InvalidConfigError(
            "Student and teacher must answer with the same classes",
            f"the student has {student.config.num_labels}, the teacher {teacher.config.num_labels}",
            "Initialize the student from this teacher",
        )
    known, wanted = _num_embeddings(student), min(num_tokens, _num_embeddings(teacher))
    if num_tokens and known < wanted:
        raise InvalidConfigError(
            "The student must have an embedding for each token of the teacher's tokenizer",
            f"it has {known:,} of {wanted:,}",
            "Initialize the student from this teacher",
        )


def require_training(args: object, callbacks: object = (), agora: object = None) -> None:
    """Pass if arguments and callbacks of a Trainer, and the settings of Agora, are of the right kinds.

    Raises:
        InvalidConfigError: if they are not.
    """
    require_kind(args, TrainingArguments, "args", "Pass transformers.TrainingArguments(output_dir, ...)")
    require_config(agora, AgoraConfig, "agora")
    require_kind(callbacks, (list, tuple), "callbacks", "Pass a list of transformers.TrainerCallback")
    found: Any = callbacks
    for callback in found:
        is_class = isinstance(callback, type) and issubclass(callback, TrainerCallback)
        if not is_class:
            require_kind(callback, TrainerCallback, "each of callbacks", "Pass transformers.TrainerCallback objects")


def chosen_architecture(value: object, config: PretrainedConfig, task: str) -> Architecture:
    """The architecture that was passed, or that a search found.

    Args:
        value: what was passed.
        config: of the teacher.
        task: of the teacher.

    Raises:
        InvalidConfigError: if it is neither.
        InvalidArchitectureError: if its axes or values are none that the teacher's model type can have, or larger than
            the teacher's.
    """
    found = value.architecture if isinstance(value, SearchResult) else value
    if isinstance(found, Mapping) and not isinstance(found, Architecture):
        found = Architecture({str(name): size for name, size in found.items()})
    if not isinstance(found, Architecture):
        raise InvalidConfigError(
            "initialize needs an Architecture, or the SearchResult of extract",
            f"got {described(value)}",
            "Call extract first, and pass what it returns",
        )
    axes = derive_axes(config, task)
    require_known(config, axes, found)
    larger = {name: size for name, size in found.items() if size > axes[name].value}
    if larger:
        raise InvalidArchitectureError(
            "A student must not be larger than its teacher in any axis",
            f"got {listed(f'{name}={size}' for name, size in larger.items())}; the teacher has "
            + listed(f"{name}={axes[name].value}" for name in larger),
            "Choose smaller values, as in the teacher's search space",
        )
    reconfigure(config, found)
    return found


def journal_file(journal: object) -> Path | None:
    """The file that a search keeps its trainings in; None: none.

    Raises:
        InvalidConfigError: if it is a folder, or no path.
    """
    path = path_or_none(journal, "journal")
    if path is None:
        return None
    if path.is_dir() or str(journal).endswith((os.sep, "/")):
        remedy = "Move the folder away" if path.suffix == ".jsonl" else f"Pass a file: {path}/journal.jsonl"
        raise InvalidConfigError("journal must be a file", f"{path} is a folder", remedy)
    return path


def checked_splits(train: Dataset, validation: Dataset, test: _Test) -> tuple[Dataset, Dataset, _Test]:
    """The three sets of a training in Python's own types; a warning says if test rows stand in the development set.

    Raises:
        InvalidDataError: if one is no data set, or empty.
    """
    train, validation = plain_dataset(train, "train_dataset"), plain_dataset(validation, "eval_dataset")
    if test is None:
        return train, validation, test
    plain = plain_dataset(test, "test_dataset")
    _tell_shared_rows(validation, plain)
    return train, validation, plain


def _tell_shared_rows(eval_dataset: Dataset, test_dataset: Dataset) -> None:
    for told in told_overlaps({"eval_dataset": eval_dataset, "test_dataset": test_dataset}):
        warnings.warn(f"{told}. Pass test rows that nothing else uses.", UntouchedSplitWarning, stacklevel=4)


def _share_weights(student: PreTrainedModel, teacher: PreTrainedModel) -> bool:
    own = {parameter.data_ptr() for parameter in teacher.parameters() if parameter.numel()}
    return any(parameter.data_ptr() in own for parameter in student.parameters() if parameter.numel())


def _num_embeddings(model: PreTrainedModel) -> int:
    try:
        embeddings: Any = model.get_input_embeddings()
    except NotImplementedError:
        return 0
    return int(getattr(embeddings, "num_embeddings", 0) or 0)
