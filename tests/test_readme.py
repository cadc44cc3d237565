"""What README and quickstart show runs as it stands, on a tiny teacher and tiny files."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from optimum_ose.configuration import OSEConfig
from optimum_ose.configuration.reading import config_from_dict
from runs import SETTINGS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
QUICKSTART = ROOT / "docs" / "quickstart.md"
PICTURES = ROOT / "docs" / "pictures"
MODEL = "my-fine-tuned-model"
quiet = pytest.mark.filterwarnings("ignore:'pin_memory' argument")


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def work(tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with the data files."""
    for name in ("train.csv", "validation.csv", "test.csv"):
        (tmp_path / name).symlink_to(data_folder / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def run(code: str, page: Path, **names: object) -> None:
    exec(compile(code, str(page), "exec"), names)


def test_the_readme_has_one_job_and_the_quickstart_has_it_too() -> None:
    (job,) = python_blocks(README)
    first, _ = python_blocks(QUICKSTART)
    assert job.replace("  # onnxruntime and tokenizers only, no torch", "") == first


@quiet
def test_the_job_of_the_readme_runs_with_short_settings(
    work: Path, teacher_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / MODEL).symlink_to(teacher_folder)
    (job,) = python_blocks(README)
    shorter = job.replace('optimize("out", ', 'optimize("out", config, ')
    assert shorter != job
    run(shorter, README, config=config_from_dict(OSEConfig, SETTINGS))
    assert "'label'" in capsys.readouterr().out
    assert (work / "out" / "README.md").is_file()


@quiet
@pytest.mark.slow
def test_the_job_of_the_readme_runs_verbatim(
    work: Path, teacher_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / MODEL).symlink_to(teacher_folder)
    (job,) = python_blocks(README)
    run(job, README)
    assert "'label'" in capsys.readouterr().out


@quiet
@pytest.mark.parametrize("teacher", ["teacher_folder", "headless_folder"])
def test_the_job_in_stages_runs(
    teacher: str, work: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    _, job = python_blocks(QUICKSTART)
    (work / "my-fine-tuned-teacher").symlink_to(request.getfixturevalue(teacher))
    shorter = job.replace("max_training_steps=60", "max_training_steps=2, max_evaluations=3").replace("2_000", "4")
    assert shorter != job
    run(shorter, QUICKSTART)
    printed = capsys.readouterr().out
    assert "winner" in printed
    assert "'label'" in printed
    assert (work / "out" / "onnx" / "model_quantized.onnx").is_file()


def test_the_links_of_the_pages_lead_to_files() -> None:
    """mkdocs checks those inside docs; these are the README's and those that leave docs."""
    pages = [
        README,
        *sorted((ROOT / "docs").rglob("*.md")),
        *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY")),
    ]
    targets = [
        (page.parent / target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]
    assert len(targets) > 50
    assert [str(target) for target in targets if not target.exists()] == []


def test_the_figures_of_the_readme_are_those_of_the_docs() -> None:
    """Each row of the README's table stands in docs/students.md."""
    page = (ROOT / "docs" / "students.md").read_text(encoding="utf-8").replace("*", "")
    table = README.read_text(encoding="utf-8").split("| test accuracy |")[1].split("\n\n")[0]
    cells = re.findall(r"\d\.\d{3}(?: ± \d\.\d{3})?|\d+\.\d%", table)
    assert len(cells) == 16
    assert [cell for cell in cells if cell not in page] == []


def test_the_picture_shows_the_figures_of_the_docs(tmp_path: Path) -> None:
    """It was drawn after the last change of the table: `python docs/pictures/draw_students.py`."""
    found = importlib.util.spec_from_file_location("draw_students", PICTURES / "draw_students.py")
    assert found is not None
    assert found.loader is not None
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    figures = script.read_table(script.PAGE.read_text(encoding="utf-8"))
    assert {name: len(arms) for name, arms in figures.items()} == dict.fromkeys(figures, len(script.ARMS))
    script.draw(figures, tmp_path / "again.png")
    for path in (PICTURES / "students.png", tmp_path / "again.png"):
        with Image.open(path) as picture:
            shown = json.loads(picture.info["Description"])
        assert shown == {name: {arm: list(pair) for arm, pair in arms.items()} for name, arms in figures.items()}
