"""No bad model folder and no bad command line of a whole run ends in a traceback or a long message: hundreds are drawn.

The inputs are the same each time; OSE_MANY_BAD_INPUTS=1 draws more, and others.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose import OSEOptimizer
from optimum_ose.pipeline import runner
from optimum_ose.pipeline.dependencies import STAGES
from optimum_ose.pipeline.run import Run
from robustness import bad_inputs, bad_models
from robustness.test_bad_inputs import _quiet, _rows, drawn, refused_plainly, require_plain  # noqa: F401
from runs import SETTINGS

pytestmark = pytest.mark.filterwarnings("ignore")  # libraries may warn of what they are given


def _copy(source: Path, folder: str, edit: bad_models.Edit) -> Path:
    copy = Path(folder) / "model"
    shutil.copytree(source, copy)
    edit(copy)
    return copy


def test_bad_model_folders_are_refused_plainly(teacher_folder: Path) -> None:
    @drawn(fast=80, slow=1_500)
    @given(bad_models.model_edits(teacher_folder))
    def load(edit: bad_models.Edit) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = _copy(teacher_folder, folder, edit)
            with refused_plainly():
                optimizer = OSEOptimizer.from_pretrained(copy)
                optimizer.score(optimizer.teacher, _rows())
                optimizer.search_space()

    load()


def _begins(_run: Run) -> None:
    """Stands where the first training begins: what comes this far has passed all checks."""
    raise SystemExit(0)


@pytest.fixture
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in STAGES[1:]:
        monkeypatch.setitem(runner.STAGE_FUNCTIONS, stage, _begins)


def _spoiled(teacher_folder: Path) -> st.SearchStrategy[dict[str, Any]]:
    """What is wrong with a run: mostly one thing, sometimes two, sometimes nothing."""
    files = st.sampled_from(bad_inputs.KINDS).flatmap(
        lambda kind: st.tuples(st.just(kind), bad_inputs.data_files(kind))
    )
    splits = st.tuples(
        st.sampled_from(("train", "validation", "test")),
        st.sampled_from(("replaced", "gone", "twice", "as another")),
        bad_inputs.data_files("csv"),
    )
    parts = {
        "model": bad_models.model_edits(teacher_folder),
        "file": files,
        "split": splits,
        "config": bad_inputs.configurations(),
        "flags": bad_inputs.flags(),
    }
    one = st.sampled_from(sorted(parts)).flatmap(lambda name: st.fixed_dictionaries({name: parts[name]}))
    two = st.tuples(one, one).map(lambda pair: {**pair[0], **pair[1]})
    return one | one | two | st.just({})


def _change_split(folder: Path, split: str, how: str, content: bytes) -> None:
    path = folder / f"{split}.csv"
    if how == "replaced":
        path.write_bytes(content)
    elif how == "gone":
        path.unlink()
    elif how == "twice":
        path.with_suffix(".jsonl").write_bytes(content)
    else:
        other = folder / ("test.csv" if split == "train" else "train.csv")
        path.write_bytes(other.read_bytes())


def _words(folder: Path, spoiled: dict[str, Any], *, model: Path, data: Path) -> list[str]:
    """The options of a command whose parts are spoiled as drawn."""
    if "model" in spoiled:
        model = _copy(model, str(folder), spoiled["model"])
    if "split" in spoiled:
        data = shutil.copytree(data, folder / "data")
        _change_split(data, *spoiled["split"])
    if "file" in spoiled:
        kind, content = spoiled["file"]
        data = folder / f"rows.{kind}"
        data.write_bytes(content)
    config = folder / "ose.yaml"
    settings = {**SETTINGS, **spoiled.get("config", {})}
    config.write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8", "surrogatepass")
    named = {"model": model, "dataset": data, "config": config, "output": folder / "out"}
    return [*(f"--{name}={path}" for name, path in named.items()), *spoiled.get("flags", ())]


@pytest.mark.usefixtures("_no_training")
def test_bad_runs_are_refused_plainly_before_any_training(teacher_folder: Path, data_folder: Path) -> None:
    """Each draw spoils some of model, data, configuration and options; `run` does all up to the search."""

    @drawn(fast=40, slow=800)
    @given(_spoiled(teacher_folder), st.sampled_from(("run", "run", "extract")))
    def start(spoiled: dict[str, Any], verb: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            require_plain([verb, *_words(Path(folder), spoiled, model=teacher_folder, data=data_folder)])

    start()
