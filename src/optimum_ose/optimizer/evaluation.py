"""Judges teacher and student side by side: scores in every format, sizes, operations and latency, in one run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedModel

from optimum_ose.configuration import OSEConfig
from optimum_ose.export.benchmark import benchmark_formats
from optimum_ose.export.example_inputs import described_image
from optimum_ose.export.parity import open_session
from optimum_ose.modeling.prediction import gather_answers, predict_logits
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.optimizer.optimizer import OSEOptimizer
from optimum_ose.preprocessing import Preprocessor, row_lengths

FORMATS: Mapping[str, str] = {"onnx-fp32": "onnx/model.onnx", "onnx-int8": "onnx/model_quantized.onnx"}
"""Format -> file, relative to the model folder."""
_SHARE_OF_ROWS = 0.95
"""Latency is measured at the length that so many of the test rows do not exceed."""


def onnx_logits(path: Path, model: PreTrainedModel, rows: Dataset, *, tokenizer: Preprocessor) -> NDArray[np.float32]:
    """What an ONNX file answers to the rows, as `predict_logits` gives it. `model` is the one that it was made of."""
    session = open_session(path)
    names = {item.name for item in session.get_inputs()}

    def answer(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        feeds = {name: tensor.cpu().numpy() for name, tensor in batch.items() if name in names}
        return torch.from_numpy(session.run(["logits"], feeds)[0])

    return gather_answers(answer, model, rows, tokenizer=tokenizer, batch_size=32)


def compare(
    optimizer: OSEOptimizer,
    student: PreTrainedModel,
    *,
    folders: Mapping[str, Path],
    validation: Dataset,
    test: Dataset,
    config: OSEConfig,
) -> dict[str, Any]:
    """Everything that `benchmark.json` holds.

    Args:
        optimizer: with the teacher.
        student: the finished student.
        folders: of "teacher" and "student", each with its ONNX files.
        validation: rows that decide which file is the default.
        test: rows that judge; used here and nowhere else.
        config: of the run.
    """
    models = {"teacher": optimizer.teacher, "student": student}
    tokenizer, metric = optimizer.tokenizer, optimizer.metric
    scores: dict[str, dict[str, dict[str, float]]] = {}
    steering: dict[str, float] = {}
    for name, model in models.items():
        scores[name] = {"pytorch-fp32": metric.scores(predict_logits(model, test, tokenizer=tokenizer), test)}
        for label, file in FORMATS.items():
            path = folders[name] / file
            if path.is_file():
                scores[name][label] = metric.scores(onnx_logits(path, model, test, tokenizer=tokenizer), test)
                if name == "student":
                    found = onnx_logits(path, model, validation, tokenizer=tokenizer)
                    steering[label] = metric.score(found, validation)
    latency = measure(optimizer, student, folders=folders, test=test, config=config)
    default, reason = _default_file(steering, latency, config)
    return {
        "metric": metric.name,
        "scores": scores,
        "num_test_rows": len(test),
        "validation_score": steering,
        "sizes": {name: _size(model, optimizer.task, config.search.sequence_length) for name, model in models.items()},
        "latency": latency,
        "default_file": default,
        "default_reason": reason,
        "label_names": [str(name) for _, name in sorted((student.config.id2label or {}).items())],
    }


def measure(
    optimizer: OSEOptimizer,
    student: PreTrainedModel,
    *,
    folders: Mapping[str, Path],
    test: Dataset,
    config: OSEConfig,
    memory: bool = False,
) -> dict[str, Any]:
    """Latency, throughput, size and, if wanted, memory of every format of both models.

    One thread, batch 1, and the length that 95% of the test rows do not exceed: `share_of_rows` tells so.
    """
    is_text = optimizer.text_tokenizer is not None
    length = served_length(test) if is_text else config.search.sequence_length
    found = benchmark_formats(
        optimizer.teacher,
        student,
        tokenizer=optimizer.text_tokenizer,
        teacher_folder=folders["teacher"],
        student_folder=folders["student"],
        num_threads=1,
        sequence_length=length,
        block_seconds=config.export.block_seconds,
        memory=memory,
    )
    return {**found, "share_of_rows": _SHARE_OF_ROWS} if is_text and found["sequence_length"] == length else found


def served_length(rows: Dataset) -> int:
    """Tokens that 95% of the rows do not exceed."""
    return int(np.quantile(row_lengths(rows), _SHARE_OF_ROWS, method="higher"))


def _size(model: PreTrainedModel, task: str, sequence_length: int) -> dict[str, Any]:
    space = derive_search_space(model.config, task=task)
    own = [space.maximum_point]
    return {
        "architecture": dict(space.maximum_point),
        "parameters": int(space.parameter_size(own)[0]),
        "parameters_without_embeddings": int(space.parameter_size(own, count_embeddings=False)[0]),
        "multiply_adds": int(space.multiply_adds(own, sequence_length=sequence_length)[0]),
        "sequence_length": sequence_length,
        **described_image(model),
    }


def _default_file(steering: Mapping[str, float], latency: Mapping[str, Any], config: OSEConfig) -> tuple[str, str]:
    """The int8 file, unless it loses more than the limit on the development rows or is slower here."""
    if "onnx-int8" not in steering:
        return FORMATS["onnx-fp32"], "there is no int8 file"
    loss = 1 - steering["onnx-int8"] / steering["onnx-fp32"] if steering["onnx-fp32"] else 0.0
    if loss > config.export.max_score_loss:
        return (
            FORMATS["onnx-fp32"],
            f"int8 loses {loss:.1%} of the score on the development rows, more than {config.export.max_score_loss:.1%}",
        )
    times = {row["format"]: row["cpu_ms"] for row in latency["results"] if row["model"] == "student"}
    if times["onnx-int8"] >= times["onnx-fp32"]:
        return FORMATS["onnx-fp32"], "int8 is not faster than fp32 on this machine"
    return FORMATS["onnx-int8"], f"int8 keeps {1 - loss:.1%} of the score and is faster on this machine"
