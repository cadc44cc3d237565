"""A Trainer goes on from the newest checkpoint that was written whole."""

from pathlib import Path

import pytest

from optimum_ose.optimizer.checkpoints import last_complete_checkpoint


def _checkpoint(folder: Path, step: int, files: dict[str, str]) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_text(content)
    return path


def test_a_folder_that_is_not_there_has_no_checkpoint(tmp_path: Path) -> None:
    assert last_complete_checkpoint(str(tmp_path / "none")) is None
    assert last_complete_checkpoint(None) is None


@pytest.mark.parametrize("cut_off", [{"model.safetensors": ""}, {"trainer_state.json": '{"epoch": 1'}])
def test_a_checkpoint_cut_off_by_a_kill_gives_way_to_the_one_before(tmp_path: Path, cut_off: dict[str, str]) -> None:
    whole = _checkpoint(tmp_path, 9, {"trainer_state.json": "{}"})
    broken = _checkpoint(tmp_path, 18, cut_off)
    assert last_complete_checkpoint(str(tmp_path)) == str(whole)
    assert not broken.exists()


def test_a_checkpoint_without_what_a_callback_adds_is_not_complete(tmp_path: Path) -> None:
    _checkpoint(tmp_path, 9, {"trainer_state.json": "{}"})
    assert last_complete_checkpoint(str(tmp_path), needed=("pool.json",)) is None
