"""How far a student's answers are from its teacher's on held-out rows, both asked batch by batch."""

import torch
from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.modeling.prediction import evaluating
from optimum_ose.preprocessing import NO_INPUTS, Preprocessor, row_lengths
from optimum_ose.tasks.parts.problem import Problem

_BATCH_SIZE = 8
"""Rows whose answers, a vocabulary for each token, are in memory at once."""
_SEED = 0
"""Of what is masked: the same for every candidate."""


def held_out_error(
    problem: Problem, student: PreTrainedModel, teacher: PreTrainedModel, rows: Dataset, tokenizer: Preprocessor
) -> float:
    """The problem's error over all answers of held-out rows, for problems whose teacher is asked anew each time.

    Args:
        problem: what an answer is.
        student: moved to the teacher's device.
        teacher: not changed.
        rows: token rows, or sounds.
        tokenizer: pads.

    Returns:
        The mean over answers; NaN if there is none.
    """
    torch.nn.Module.to(student, teacher.device)  # a training left it on the CPU, and the teacher elsewhere
    collate = problem.collator(tokenizer, _SEED)
    order = sorted(range(len(rows)), key=row_lengths(rows).__getitem__)
    total, count = 0.0, 0
    with evaluating(student), evaluating(teacher):
        for start in range(0, len(order), _BATCH_SIZE):
            batch = collate([rows[index] for index in order[start : start + _BATCH_SIZE]])
            batch = {name: values.to(student.device) for name, values in batch.items()}
            inputs = {name: values for name, values in batch.items() if name not in NO_INPUTS}
            found, wanted = (problem.answers(model(**inputs), batch) for model in (student, teacher))
            if len(found):
                total += float(problem.error(found.float(), wanted.float())) * len(found)
                count += len(found)
    return total / count if count else float("nan")
