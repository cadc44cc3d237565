"""Whether the answers of two models can be compared."""

from typing import cast

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.preprocessing import Preprocessor


def require_common_vocabulary(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    teacher_tokenizer: PreTrainedTokenizerBase | None,
) -> None:
    """Pass if every token of the student's tokenizer is the same token, with an answer, in both models.

    Vocabularies that only differ by padding to a round size do; then the common part is compared.

    Raises:
        InvalidConfigError: if the tokenizers disagree, or a token has no answer in one of the models.
    """
    if teacher_tokenizer is not None and teacher_tokenizer.get_vocab() != tokenizer.get_vocab():
        own, other = tokenizer.get_vocab(), teacher_tokenizer.get_vocab()
        num_unlike = sum(other.get(token) != index for token, index in own.items())
        raise InvalidConfigError(
            "Student and teacher must share a tokenizer: their answers are compared word by word",
            f"{num_unlike} of the student's {len(own)} tokens are others in the teacher's {len(other)}",
            "Choose a student with the teacher's tokenizer",
        )
    sizes = (int(student.config.vocab_size), int(teacher.config.vocab_size))
    if min(sizes) < len(tokenizer):
        raise InvalidConfigError(
            f"Student and teacher must answer with every one of the tokenizer's {len(tokenizer)} tokens",
            f"the student has {sizes[0]}, the teacher {sizes[1]}",
            "Choose a student with the teacher's vocabulary",
        )


def require_same_words(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    preprocessor: Preprocessor,
    teacher_tokenizer: PreTrainedTokenizerBase | None,
) -> None:
    """`require_common_vocabulary`, of whatever makes the inputs of a task of texts."""
    require_common_vocabulary(student, teacher, cast(PreTrainedTokenizerBase, preprocessor), teacher_tokenizer)


def any_sizes(*_: object) -> None:
    """Answers are compared that have no size of their own, such as similarities or choices among tokens."""


def require_same_answers(student: PreTrainedModel, teacher: PreTrainedModel) -> None:
    """Pass if student and teacher answer with the same classes, or as many numbers.

    Raises:
        InvalidConfigError: if they do not.
    """
    if student.config.num_labels != teacher.config.num_labels:
        raise InvalidConfigError(
            "Student and teacher must answer with the same classes",
            f"the student has {student.config.num_labels}, the teacher {teacher.config.num_labels}",
            "Initialize the student from this teacher",
        )
