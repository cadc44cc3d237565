"""Serving needs neither torch nor transformers."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import venv
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.serving import OnnxPipeline
from serving.server_client import predict

ROOT = Path(__file__).parents[2]
TEXTS = ["a good film", "the cat"]
LIBRARIES = ("torch", "transformers", "accelerate", "optimum", "datasets", "huggingface_hub")
ENGINE = ("uvicorn", "starlette", "httptools", "prometheus_client")
REFUSE = """
    import sys
    class Refusal:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {names}:
                raise ModuleNotFoundError("refused: " + name, name=name)
    sys.meta_path.insert(0, Refusal())
"""
PIPELINE = """
    import json, sys
    from optimum_ose.serving import OnnxPipeline
    print(json.dumps(OnnxPipeline.from_pretrained(sys.argv[1], num_threads=1)(["a good film", "the cat"], top_k=None)))
"""
SERVE = """
    from optimum_ose.serving.__main__ import main
    sys.exit(main())
"""


def run(python: str | Path, folder: Path, *scripts: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-c", "".join(map(textwrap.dedent, scripts)), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def serving(command: list[str], **environment: str) -> Any:
    """What a server in a process of its own predicts, before it is told to end."""
    with subprocess.Popen([*command, "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        status, answers = predict(port, TEXTS)
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert (status, process.returncode) == (200, 143)
    return answers


@pytest.fixture
def expected(folder: Path) -> Any:
    return OnnxPipeline.from_pretrained(folder, num_threads=1)(TEXTS, top_k=None)


def test_the_pipeline_needs_neither_a_training_library_nor_the_server_engine(folder: Path, expected: Any) -> None:
    done = run(sys.executable, folder, REFUSE.format(names=set(LIBRARIES + ENGINE)), PIPELINE, **os.environ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_the_server_starts_where_importing_a_training_library_fails(folder: Path, expected: Any) -> None:
    script = textwrap.dedent(REFUSE.format(names=set(LIBRARIES))) + textwrap.dedent(SERVE)
    command = [sys.executable, "-c", script, str(folder), "--num-threads", "1"]
    assert serving(command, **os.environ) == expected


def test_the_plugin_of_optimum_cli_serves_without_loading_torch(folder: Path, expected: Any) -> None:
    script = textwrap.dedent(REFUSE.format(names={"torch", "transformers", "datasets", "accelerate"}))
    script += "from optimum_ose.__main__ import main\nmain()"
    assert serving([sys.executable, "-c", script, "serve", str(folder), "--num-threads", "1"], **os.environ) == expected


@pytest.mark.parametrize("missing", ENGINE)
def test_without_the_extra_the_command_ends_with_2_and_says_what_to_install(folder: Path, missing: str) -> None:
    done = run(sys.executable, folder, REFUSE.format(names={missing}), SERVE, **os.environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"optimum-ose: The server needs the packages of the extra serving; there is no {missing}. "
        "Install them with `pip install 'optimum-ose[serving]'`\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "num_workers must be a positive whole number of at most"),
        (["--num-threads", "100000"], "num_threads must be a positive whole number of at most"),
        (["--max-batch-texts", "0"], "whole unless they are seconds; max_batch_texts is 0"),
        (["--request-seconds", "nan"], "whole unless they are seconds; request_seconds is nan"),
        (["--answer-seconds", "inf"], "answer_seconds is inf"),
        (["--file-name", "onnx/none.onnx"], "there is none"),
        (["--host", "256.0.0.1"], "'256.0.0.1' is unknown"),
    ],
)
def test_a_mistake_ends_with_2_and_one_line(folder: Path, options: list[str], message: str) -> None:
    command = [sys.executable, "-m", "optimum_ose.serving", str(folder), "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr


@pytest.mark.slow
def test_the_image_needs_only_what_its_file_installs(folder: Path, tmp_path: Path, expected: Any) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    requirements = ["-c", str(ROOT / "constraints.txt"), "-r", str(ROOT / "deploy/requirements.txt")]
    # tokenizers' requirement huggingface_hub serves downloads only
    for command in (build, [*install, *requirements], [*install, *requirements[:2], "--no-deps", "tokenizers"]):
        subprocess.run(command, check=True)
    subprocess.run([*install, "--no-deps", *map(str, wheels.iterdir())], check=True)
    done = run(python, folder, PIPELINE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
    assert serving([str(python), "-m", "optimum_ose.serving", str(folder), "--num-threads", "1"]) == expected
    listed = subprocess.run([str(python), "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert not [name for name in LIBRARIES if f"\n{name} " in listed]
