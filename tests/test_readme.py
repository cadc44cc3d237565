"""What the README shows runs as it stands, on a tiny teacher and tiny files."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore:'pin_memory' argument")
@pytest.mark.parametrize("teacher", ["teacher_folder", "headless_folder"])
def test_the_python_job_runs(
    teacher: str,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (job,) = python_blocks()
    (tmp_path / "my-fine-tuned-teacher").symlink_to(request.getfixturevalue(teacher))
    for name in ("train.csv", "validation.csv"):
        (tmp_path / name).symlink_to(data_folder / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    shorter = job.replace("max_training_steps=60", "max_training_steps=2, max_evaluations=3").replace("2_000", "4")
    assert shorter != job
    exec(compile(shorter, str(README), "exec"), {})
    printed = capsys.readouterr().out
    assert "winner" in printed
    assert "'label'" in printed
    assert (tmp_path / "out" / "onnx" / "model_quantized.onnx").is_file()


def test_the_paths_of_the_map_exist() -> None:
    root = README.parent
    named = re.findall(r"src/optimum_ose/\w+/|docs/[\w-]+\.md", README.read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (root / path).exists()] == []
