"""The output folder as a record: where each file lies, which stage is finished, and whose folder it is."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

from optimum_ose.guards import require_path
from optimum_ose.output_folder import RUN_FILE, claim_for_run, require_run, writing
from optimum_ose.records import read_run
from optimum_ose.serialization import canonical_json, plain, write_atomic
from optimum_ose.serving.graphs import INT8, main_file


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
        """The fp32 ONNX file; of an encoder with a decoder, the decoder's."""
        return self.path / main_file(self.path)

    @property
    def quantized_onnx(self) -> Path:
        """The int8 ONNX file."""
        return self.path / main_file(self.path, INT8)

    @property
    def search(self) -> Path:
        """Space, T, evaluations, certificate and winner."""
        return self.path / "ose" / "search.json"

    @property
    def choice(self) -> Path:
        """The same, with the candidate that was taken after others had been distilled; only if it is another one."""
        return self.path / "ose" / "choice.json"

    @property
    def chosen(self) -> Path:
        """The record of the search that led to the student."""
        return self.choice if self.choice.is_file() else self.search

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

    @property
    def elastic(self) -> Path:
        """The shared weights of an elastic search. Stays on this machine."""
        return self.checkpoints / "elastic"

    @property
    def extracted(self) -> Path:
        """The winner of an elastic search with the weights that were measured. Stays on this machine."""
        return self.checkpoints / "extracted"

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], *, question: Mapping[str, Any], request: Mapping[str, Any]
    ) -> "OSEArtifact":
        """Open the folder for a run, making it if needed; a folder that holds a run keeps it as it is.

        Raises:
            InvalidConfigError: if `path` is none.
            OutputFolderError: if the folder cannot be written, holds files that are not ours, or a damaged run.
        """
        artifact = cls(require_path(path, "The output folder"))
        claim_for_run(artifact.path)
        if not artifact.run_file.exists():
            artifact._write_run({"question": plain(question), "request": plain(request), "stages": {}})
        artifact._read_run()
        return artifact

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "OSEArtifact":
        """Open a folder that an earlier run wrote.

        Raises:
            InvalidConfigError: if `path` is none.
            OutputFolderError: if there is no such run, or its `run.json` is damaged.
        """
        artifact = cls(require_path(path, "The folder"))
        require_run(artifact.path)
        artifact._read_run()
        return artifact

    def update(self, *, question: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Remember what is asked now; the caller has compared it with the finished stages. An empty request changes
        nothing.
        """
        run = self._read_run()
        changed = {**run, "question": plain(question), "request": plain(request) or run["request"]}
        if changed != run:
            self._write_run(changed)

    @property
    def run_file(self) -> Path:
        """What the run remembers of itself. Stays on this machine."""
        return self.path / RUN_FILE

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

    def dependencies(self, name: str) -> dict[str, Any]:
        """What a finished stage depended on and left: `settings`, `inputs`, `files`; empty if that was not recorded."""
        return dict(self._read_run().get("dependencies", {}).get(name, {}))

    def finish_stage(
        self, name: str, record: Mapping[str, Any], *, dependencies: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Remember that a stage is finished, and what it depended on; called after its files are on the disk."""
        run = self._read_run()
        run["stages"][name] = plain(record)
        run["dependencies"] = {**run.get("dependencies", {}), name: plain(dependencies)}
        self._write_run(run)

    def reopen_stages(self, names: Iterable[str]) -> None:
        """Forget that stages are finished."""
        run = self._read_run()
        if found := [name for name in names if name in run["stages"]]:
            kept = {name: record for name, record in run["stages"].items() if name not in found}
            self._write_run({**run, "stages": kept})

    def push_to_hub(
        self, repo_id: str, *, private: bool = False, revision: str | None = None, token: str | None = None
    ) -> str:
        """Upload the folder; see `optimum_ose.push_to_hub`."""
        from optimum_ose import push_to_hub  # the public name: the folder does not know who uploads it

        return push_to_hub(self.path, repo_id, private=private, revision=revision, token=token)

    def _read_run(self) -> dict[str, Any]:
        return read_run(self.run_file)

    def _write_run(self, run: Mapping[str, Any]) -> None:
        with writing(self.run_file, always=True):
            write_atomic(self.run_file, canonical_json(run))


def input_of(record: Mapping[str, Any]) -> str:
    """What a record was measured or counted with, as people read it: the size of images, else a number of tokens."""
    return str(record.get("input") or f"{record['sequence_length']} tokens")
