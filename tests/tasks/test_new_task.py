"""A new task is one new file: it is found, listed, derived, loaded, distilled and scored without an edit elsewhere."""

import re
from pathlib import Path

import pytest
from datasets import Dataset

import optimum_ose.tasks
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.pipeline.optimizer import OSEOptimizer
from optimum_ose.tasks import labeled_task, task_named, task_names
from themes import theme_table, trained_teacher, word_tokenizer

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-task.md"


@pytest.fixture
def folder_of_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A further folder of the room, with the file that the page shows."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "text_moderation.py").write_text(found.group(1))
    monkeypatch.setattr(optimum_ose.tasks, "__path__", [*optimum_ose.tasks.__path__, str(tmp_path)])
    return tmp_path


def test_a_new_file_is_a_task(folder_of_tasks: Path) -> None:
    assert "text-moderation" in task_names()
    assert labeled_task("text-moderation").name == "text-moderation"


def test_a_new_task_goes_through_the_stages(folder_of_tasks: Path) -> None:
    teacher = trained_teacher()
    optimizer = OSEOptimizer(teacher, word_tokenizer(), task="text-moderation", max_length=32)
    assert derive_search_space(teacher.config, task="text-moderation").maximum_point
    rows = Dataset.from_pandas(theme_table(40, seed=1), preserve_index=False)
    assert optimizer.score(teacher, rows) > 0.8
    student = optimizer.initialize(
        derive_search_space(teacher.config, task="text-moderation").maximum_point, calibration_dataset=rows
    )
    assert optimizer.score(student, rows) == optimizer.score(teacher, rows)


def test_an_unknown_task_is_refused_with_all_names() -> None:
    with pytest.raises(UnsupportedModelError, match="task must be one of audio.*; got 'text-moderation'"):
        task_named("text-moderation")
