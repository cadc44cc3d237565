"""What a task is stands in its file: nothing else in src names a task or a kind of answer."""

import ast
from pathlib import Path

import pytest
from transformers.pipelines import SUPPORTED_TASKS

from optimum_ose.tasks import task_names

SOURCE = Path(__file__).parents[1] / "src" / "optimum_ose"
ROOMS = (SOURCE / "tasks", SOURCE / "serving" / "tasks", SOURCE / "data" / "targets.py")
"""The last holds what Transformers calls kinds of labels, which files and options name."""
NAMES = {
    *SUPPORTED_TASKS,
    *task_names(),
    "sentence-embedding",
    "sentence-similarity",
    "text-ranking",
    "multiple-choice",
    "regression",
    "single_label_classification",
    "multi_label_classification",
    "single-label",
    "multi-label",
    "token-labels",
    "masked-tokens",
    "next-tokens",
    "representation",
    "written-tokens",
}
MODULES = [path for path in SOURCE.rglob("*.py") if not any(path.is_relative_to(room) for room in ROOMS)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_outside_of_the_rooms_names_a_task(path: Path) -> None:
    found = [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in NAMES
    ]
    assert not found
