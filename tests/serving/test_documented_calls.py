"""Each curl line of docs/serving.md is answered by a server of the task that it is for."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from optimum_ose.serving.server import create_server
from serving.served_folders import wave_file
from serving.server_client import running
from serving.test_openapi import OWN
from serving.test_served_images import noise, saved

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
LINES = re.findall(r"^curl .*$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
BY_CONTENT = {
    "sound.wav": "automatic-speech-recognition",
    "picture.png": "image-classification",
    '"question"': "question-answering",
}


def task_of(line: str) -> str:
    """That the line is for, by its path or else by what it sends."""
    by_path = [task for task, paths in OWN.items() if any(f"8080{path} " in line for path in paths)]
    return next((task for mark, task in BY_CONTENT.items() if mark in line), (by_path or ["text-classification"])[0])


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:60])
def test_a_line_is_answered(line: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(saved(Image.fromarray(noise(40, 61)), "PNG"))
    (tmp_path / "sound.wav").write_bytes(wave_file())
    with running(create_server(folder_of(task_of(line)), port=0, num_threads=1)) as port:
        words = [word.replace("localhost:8080", f"127.0.0.1:{port}") for word in shlex.split(line)]
        done = subprocess.run(
            [*words, "-s", "--max-time", "20", "-w", "\n%{http_code}"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
    body, status = done.stdout.rsplit("\n", 1)
    assert status == "200", body
    assert len(body) > 10


def test_every_path_of_other_servers_has_a_line() -> None:
    for path in sorted({path for paths in OWN.values() for path in paths} | {"/v1/models", "/openapi.json"}):
        assert any(re.search(rf"8080{path}( |$)", line) for line in LINES), path
