"""Files appear whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from optimum_ose.exceptions import OutputFolderError
from optimum_ose.export.graph_files import atomic_graph


def test_a_finished_block_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "onnx" / "model.onnx"
    for content in (b"old", b"new"):
        with atomic_graph(path) as temporary:
            temporary.write_bytes(content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_an_error_in_the_block_keeps_the_old_file_and_removes_the_partial_one(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with atomic_graph(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_a_killed_writer_leaves_the_old_file_whole_and_the_next_writer_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    script = (
        "import os, signal, sys; from pathlib import Path; from optimum_ose.export.graph_files import atomic_graph\n"
        "with atomic_graph(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    assert path.read_bytes() == b"old"
    with atomic_graph(path) as temporary:
        temporary.write_bytes(b"new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"new"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "onnx").write_text("a file where the folder should be")
    with (
        pytest.raises(OutputFolderError, match=r"model.onnx must be writable; writing it failed: .*\. Free disk space"),
        atomic_graph(tmp_path / "onnx" / "model.onnx"),
    ):
        pass
