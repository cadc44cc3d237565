"""Several processes of one launch share the candidates of a search; what they find does not depend on their number."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from optimum_ose.distillation.local_process import num_processes
from optimum_ose.exceptions import ProcessError

SETTINGS = {
    "max_length": 32,
    "search": {
        "max_training_steps": 3,
        "max_evaluations": 14,
        "num_eval_rows": 32,
        "sequence_length": 16,
        "num_threads": 1,  # errors depend on it, and OMP_NUM_THREADS may be set for one process
    },
}
LAUNCHED = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
USE_CPU = "ACCELERATE_USE_CPU=true"
ONE = (sys.executable, "-m", "optimum_ose")
TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "optimum_ose")
ACCELERATE_TWO = (
    *(
        "/usr/bin/env",
        USE_CPU,
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_machines",
        "1",
    ),
    *("--num_processes", "2", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "optimum_ose"),
)


def launch(
    launcher: tuple[str, ...], verb: str, model: Path, data: Path, output: Path
) -> subprocess.CompletedProcess[str]:
    settings = output.with_suffix(".yaml")
    settings.write_text(yaml.safe_dump(SETTINGS))
    named = {"--model": model, "--dataset": data, "--config": settings, "--output": output}
    words = [verb, *(str(part) for pair in named.items() for part in pair)]
    return subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, teacher_folder: Path, data_folder: Path) -> Path:
    output = tmp_path_factory.mktemp("alone") / "out"
    found = launch(ONE, "extract", teacher_folder, data_folder, output)
    assert found.returncode == 0, found.stderr
    return output


@pytest.mark.parametrize("launcher", [TWO, ACCELERATE_TWO], ids=["torchrun", "accelerate"])
def test_two_processes_find_what_one_finds(
    alone: Path, launcher: tuple[str, ...], teacher_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    found = launch(launcher, "extract", teacher_folder, data_folder, tmp_path / "out")
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "out/ose/search.json").read_bytes() == (alone / "ose/search.json").read_bytes()
    assert found.stdout.count("W of the winner") == 1


def test_two_processes_go_on_from_the_journal_of_one(
    alone: Path, teacher_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    lines = (alone / "ose/journal.jsonl").read_bytes().splitlines(keepends=True)
    journal = tmp_path / "out/ose/journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"".join(lines[:6]))
    assert launch(TWO, "extract", teacher_folder, data_folder, tmp_path / "out").returncode == 0
    assert journal.read_bytes().startswith(b"".join(lines[:6]))
    assert (tmp_path / "out/ose/search.json").read_bytes() == (alone / "ose/search.json").read_bytes()


def test_a_failure_of_the_first_process_ends_all(teacher_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    journal = tmp_path / "out/ose/journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("damaged\ndamaged\n")
    found = launch(TWO, "extract", teacher_folder, data_folder, tmp_path / "out")
    assert found.returncode != 0
    assert "must hold one JSON object a line" in found.stderr


def test_what_several_processes_do_not_share_is_refused(
    headless_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    found = launch(TWO, "run", headless_folder, data_folder, tmp_path / "out")
    assert found.returncode != 0
    assert "Launch `optimum_ose extract` with several processes, and everything else with one" in found.stderr


def test_a_script_that_is_refused_prints_one_message_and_no_traceback_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("from optimum_ose import OSEOptimizer\nOSEOptimizer.from_pretrained('no/such/folder/here')\n")
    found = subprocess.run([*TWO[:-2], str(script)], capture_output=True, text=True, timeout=300)
    assert found.returncode != 0
    assert found.stderr.count("optimum-ose: ") == 1
    assert "no/such/folder/here" in found.stderr
    assert 'mine.py", line' not in found.stderr


def test_processes_that_are_not_connected_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        "optimum_ose.distillation.local_process.process_state", lambda: SimpleNamespace(num_processes=1)
    )
    with pytest.raises(ProcessError, match="2 were started, and this one knows of 1"):
        num_processes()
