"""Serving needs neither torch nor transformers."""

import json
import os
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import pytest

from optimum_ose.serving import OnnxPipeline

ROOT = Path(__file__).parents[2]
ANSWER = """
    import json, sys
    from optimum_ose.serving import OnnxPipeline
    from optimum_ose.serving.server import create_server
    create_server(sys.argv[1], port=0).server_close()
    print(json.dumps(OnnxPipeline.from_pretrained(sys.argv[1], num_threads=1)(["a good film", "the cat"], top_k=None)))
"""


def answer(python: str | Path, folder: Path, *, before: str = "", **environment: str) -> object:
    script = textwrap.dedent(before) + textwrap.dedent(ANSWER)
    command = [str(python), "-c", script, str(folder)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_answers_come_where_importing_a_training_library_fails(folder: Path) -> None:
    hook = """
    import sys
    class Refusal:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {"torch", "transformers", "accelerate", "optimum", "datasets", "huggingface_hub"}:
                raise ImportError("refused: " + name)
    sys.meta_path.insert(0, Refusal())
    """
    answers = answer(sys.executable, folder, before=hook, **os.environ)
    assert answers == OnnxPipeline.from_pretrained(folder, num_threads=1)(["a good film", "the cat"], top_k=None)


@pytest.mark.slow
def test_answers_come_where_only_onnxruntime_tokenizers_and_numpy_are(folder: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    # tokenizers' requirement huggingface_hub serves downloads only
    for command in (build, [*install, "onnxruntime", "numpy"], [*install, "--no-deps", "tokenizers"]):
        subprocess.run(command, check=True)
    subprocess.run([*install, "--no-deps", *map(str, wheels.iterdir())], check=True)
    expected = OnnxPipeline.from_pretrained(folder, num_threads=1)(["a good film", "the cat"], top_k=None)
    assert answer(python, folder) == expected
