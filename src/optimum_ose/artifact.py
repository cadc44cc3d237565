"""The output folder as a record: where each file lies, which stage is finished, and whose folder it is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from optimum_ose.exceptions import JournalError, OutputFolderError
from optimum_ose.serialization import canonical_json, plain, read_json, write_atomic

_RUN_FILE = "run.json"


@final
@dataclass(frozen=True, slots=True)
class OSEArtifact:
    """A folder that optimum-ose writes: a plain `from_pretrained` folder with `onnx/` and `ose/` inside.

    `ose/run.json` holds the question (hashes and settings), the request (arguments needed to go on), and one record
    per finished stage.
    """

    path: Path

    @property
    def onnx(self) -> Path:
        """The fp32 ONNX file."""
        return self.path / "onnx" / "model.onnx"

    @property
    def quantized_onnx(self) -> Path:
        """The int8 ONNX file."""
        return self.path / "onnx" / "model_quantized.onnx"

    @property
    def search(self) -> Path:
        """Space, T, evaluations, certificate and winner."""
        return self.path / "ose" / "search.json"

    @property
    def journal(self) -> Path:
        """Every finished evaluation."""
        return self.path / "ose" / "journal.jsonl"

    @property
    def benchmark(self) -> Path:
        """Measured figures, with the machine they were taken on."""
        return self.path / "ose" / "benchmark.json"

    @property
    def environment(self) -> Path:
        """Versions and machine."""
        return self.path / "ose" / "environment.json"

    @property
    def pareto_plot(self) -> Path:
        """The Pareto plot."""
        return self.path / "ose" / "pareto.png"

    @property
    def page(self) -> Path:
        """The report as one HTML page. It shows rows of the test split: `push_to_hub` leaves it out."""
        return self.path / "ose" / "report.html"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.path / "README.md"

    @property
    def teacher(self) -> Path:
        """The teacher that was fine-tuned here, if one was. Stays on this machine: `push_to_hub` leaves it out."""
        return self.path / "teacher"

    @property
    def checkpoints(self) -> Path:
        """What unfinished stages need to go on. Stays on this machine."""
        return self.path / "checkpoints"

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], *, question: Mapping[str, Any], request: Mapping[str, Any]
    ) -> "OSEArtifact":
        """Open the folder for one question, making it if needed.

        Raises:
            OutputFolderError: if the folder cannot be written, or holds files that are not ours.
            JournalError: if the folder belongs to another question.
        """
        artifact = cls(Path(path))
        _ensure_writable(artifact.path)
        run_file = artifact.path / "ose" / _RUN_FILE
        if not run_file.exists():
            foreign = sorted(item.name for item in artifact.path.iterdir() if item.name != "ose")
            if foreign:
                raise OutputFolderError(
                    f"The output folder {artifact.path} must be empty or written by optimum-ose",
                    f"it holds {', '.join(foreign[:5])}",
                    "Choose another folder with --output",
                )
            artifact._write_run({"question": plain(question), "request": plain(request), "stages": {}})
        found, asked = artifact._read_run()["question"], plain(question)
        if found != asked:
            differing = sorted(name for name in found.keys() | asked.keys() if found.get(name) != asked.get(name))
            raise JournalError(
                f"The output folder {artifact.path} must answer the question that is asked now",
                f"it answers another one: {', '.join(differing)} differ",
                "Use another output folder, or repeat the arguments of the first run",
            )
        return artifact

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "OSEArtifact":
        """Open a folder that an earlier run wrote.

        Raises:
            OutputFolderError: if there is none.
        """
        artifact = cls(Path(path))
        if not (artifact.path / "ose" / _RUN_FILE).is_file():
            raise OutputFolderError(
                f"{artifact.path} must be a folder written by optimum-ose",
                f"it has no ose/{_RUN_FILE}",
                "Give the --output folder of an earlier `run` or `extract`",
            )
        return artifact

    @property
    def emissions(self) -> Path:
        """What codecarbon wrote, if it tracked the run with this folder's `ose/` as its output folder."""
        return self.path / "ose" / "emissions.csv"

    @property
    def question(self) -> dict[str, Any]:
        """What the folder answers: hashes of model and data, and all settings."""
        return dict(self._read_run()["question"])

    @property
    def request(self) -> dict[str, Any]:
        """The arguments of the first run."""
        return dict(self._read_run()["request"])

    def stage(self, name: str) -> dict[str, Any] | None:
        """The record of a finished stage, or None."""
        record = self._read_run()["stages"].get(name)
        return None if record is None else dict(record)

    def finish_stage(self, name: str, record: Mapping[str, Any]) -> None:
        """Remember that a stage is finished; called after its files are on the disk."""
        run = self._read_run()
        run["stages"][name] = plain(record)
        self._write_run(run)

    def push_to_hub(
        self, repo_id: str, *, private: bool = False, revision: str | None = None, token: str | None = None
    ) -> str:
        """Upload the folder; see `optimum_ose.push_to_hub`."""
        from optimum_ose import push_to_hub  # the public name: the folder does not know who uploads it

        return push_to_hub(self.path, repo_id, private=private, revision=revision, token=token)

    def _read_run(self) -> dict[str, Any]:
        return dict(read_json(self.path / "ose" / _RUN_FILE))

    def _write_run(self, run: Mapping[str, Any]) -> None:
        write_atomic(self.path / "ose" / _RUN_FILE, canonical_json(run))


def _ensure_writable(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".ose-write-test-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputFolderError(
            f"The output folder {path} must be writable",
            f"writing there failed: {error.strerror}",
            "Choose another folder with --output",
        ) from error


def input_of(record: Mapping[str, Any]) -> str:
    """What a record was measured or counted with, as people read it: the size of images, else a number of tokens."""
    return str(record.get("input") or f"{record['sequence_length']} tokens")
