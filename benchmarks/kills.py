"""Owns the benchmark of a search, or a whole run, that is killed: SIGKILLs at random moments lose no finished
evaluation, and the same `search.json` comes out, of a whole run the same weights and files as well.

One is left alone and timed. Then others of the same question are started and killed, again and again in the same
folder until one comes to its end, then in the next folder, until enough kills were dealt. With --work the tally is
kept after each kill, and the same command resumes from it.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import optimum_ose.pipeline.runner  # noqa: F401  (children inherit the imports)
from optimum_ose.__main__ import main as command
from optimum_ose.artifact import OSEArtifact
from optimum_ose.pipeline.dependencies import STAGES
from optimum_ose.serialization import write_atomic

_HOPELESS = 20
"""After so many kills in one folder the search is left alone, so that every folder comes to its end."""
_RESULTS = {
    "extract": ("ose/search.json",),
    "run": (
        *("ose/search.json", "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"),
        *("onnx/model.onnx", "onnx/model_quantized.onnx"),
    ),
}
"""Verb -> files that must come out with the same bytes."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the kills did."""

    seconds: float = 0.0
    """How long the undisturbed command took."""
    num_kills: int = 0
    """Processes killed before they ended."""
    stages: dict[str, int] = field(default_factory=dict)
    """Kills by the stage that they met."""
    num_in_training: int = 0
    """Kills after the first evaluation of their folder was journaled."""
    num_lost: int = 0
    """Journal lines that a later start no longer had."""
    num_ended: int = 0
    """Folders that came to their end after kills."""
    violations: list[str] = field(default_factory=list)
    """What should not be: a command that failed, a result with other bytes, a file too many or too few."""
    moments: list[float] = field(default_factory=list)
    """Seconds from start to kill."""

    def lines(self) -> list[str]:
        """The tally in words and as a table."""
        moments = self.moments or [0.0]
        counts = (self.num_kills, self.num_in_training, self.num_ended, self.num_lost, len(self.violations))
        return [
            f"undisturbed: {self.seconds:.1f} s; kills between {min(moments):.2f} and {max(moments):.2f} s",
            "kills by stage: " + ", ".join(f"{stage} {count}" for stage, count in sorted(self.stages.items())),
            "| kills | after a first evaluation | ended | evaluations lost | violations |",
            "|---|---|---|---|---|",
            "| " + " | ".join(map(str, counts)) + " |",
            *self.violations,
        ]


def main() -> int:
    """Run the benchmark; the exit code is 1 if an evaluation was lost, a result differs or a command failed."""
    options = _parse()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        words = [options.verb, "--model", options.model, "--dataset", options.dataset]
        words += ["--config", str(options.config)] if options.config else []
        tally = _begun(words, work)
        while tally.num_kills < options.kills:
            # of its own in each folder, so that a benchmark that goes on does not repeat its moments
            random = np.random.default_rng([options.seed, tally.num_kills])
            shutil.rmtree(work / "killed", ignore_errors=True)
            longest = min(options.longest or tally.seconds, tally.seconds)
            _kill_until_it_ends(words, work, tally, random, longest=longest, limit=options.kills)
            tally.num_ended += 1
            tally.violations += _differences(options.verb, work, tally)
            _keep(tally, work)
    print("\n".join(tally.lines()))
    return int(tally.num_lost > 0 or bool(tally.violations))


def _begun(words: list[str], work: Path) -> Tally:
    """The tally of an earlier start, or that of an undisturbed command."""
    kept = work / "tally.json"
    if kept.exists():
        record = json.loads(kept.read_text())
        if record.pop("words") != words:
            raise SystemExit(f"{work} holds the tally of another command; choose another folder")
        return Tally(**record)
    shutil.rmtree(work / "undisturbed", ignore_errors=True)
    seconds = time.perf_counter()
    process = _start(words, work, "undisturbed")
    process.join()
    if process.exitcode:
        raise SystemExit(f"the undisturbed command failed: {_said(work)}")
    tally = Tally(seconds=time.perf_counter() - seconds)
    write_atomic(kept, json.dumps({"words": words, **asdict(tally)}))
    return tally


def _kill_until_it_ends(
    words: list[str], work: Path, tally: Tally, random: np.random.Generator, *, longest: float, limit: int
) -> None:
    seen: list[bytes] = []
    folder = work / "killed"
    for attempt in range(sys.maxsize):
        process = _start(words, work, "killed")
        moment = float(random.uniform(0.0, longest))
        process.join(moment if attempt < _HOPELESS and tally.num_kills < limit else None)
        is_killed = process.is_alive()
        if is_killed and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        lines = _whole_lines(OSEArtifact(folder).journal)
        tally.num_lost += sum(line not in lines for line in seen)
        seen = lines
        if not is_killed:
            if process.exitcode:
                tally.violations.append(f"exit code {process.exitcode} after {attempt} kills: {_said(work)}")
            return
        stage = _stage_met(folder)
        tally.num_kills += 1
        tally.num_in_training += len(lines) > 1
        tally.stages[stage] = tally.stages.get(stage, 0) + 1
        tally.moments.append(moment)
        _keep(tally, work)
        print(f"kill {tally.num_kills} of {limit}: {stage}, after {moment:.2f} s", flush=True)


def _keep(tally: Tally, work: Path) -> None:
    record = json.loads((work / "tally.json").read_text()) | asdict(tally)
    write_atomic(work / "tally.json", json.dumps(record))


def _stage_met(folder: Path) -> str:
    if not (folder / "ose" / "run.json").is_file():
        return "start"
    return next((stage for stage in STAGES if not OSEArtifact(folder).stage(stage)), "end")


def _differences(verb: str, work: Path, tally: Tally) -> list[str]:
    """What the folder of a killed command has other than that of the undisturbed one."""
    alone, killed = work / "undisturbed", work / "killed"
    names, found = _names(alone), _names(killed)
    after = f"folder {tally.num_ended}, {tally.num_kills} kills"
    told = [f"{after}: {name} is missing" for name in sorted(names - found)]
    told += [f"{after}: {name} is left over" for name in sorted(found - names)]
    both = [name for name in _RESULTS[verb] if name in names & found]
    told += [
        f"{after}: {name} has other bytes"
        for name in both
        if (alone / name).read_bytes() != (killed / name).read_bytes()
    ]
    if told:
        shutil.copytree(killed, work / f"violation-{tally.num_kills}", dirs_exist_ok=True)
    return told


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _start(words: list[str], work: Path, name: str) -> multiprocessing.Process:
    """A command in a process that inherits the imports of this one."""
    target = ([*words, "--output", str(work / name)], work / "command.log")
    process = multiprocessing.get_context("fork").Process(target=_run, args=target)
    process.start()
    return process


def _said(work: Path) -> str:
    return (work / "command.log").read_text(errors="replace")[-2_000:].strip()


def _run(words: list[str], log: Path) -> None:
    sys.argv = ["optimum_ose", *words]
    sys.stdout = sys.stderr = log.open("w")
    command()


def _whole_lines(journal: Path) -> list[bytes]:
    return journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example:\n  python benchmarks/kills.py --model out/demo/teacher --dataset rows --config small.yaml",
    )
    parser.add_argument("--model", required=True, help="a teacher with a trained head")
    parser.add_argument("--dataset", required=True, help="as `optimum-cli ose` takes it; a few hundred rows do")
    parser.add_argument("--config", type=Path, help="as `optimum-cli ose` takes it")
    parser.add_argument("--verb", choices=_RESULTS, default="extract", help="what is killed (default: extract)")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--longest", type=float, help="seconds, kills come no later (default: as long as it takes)")
    parser.add_argument("--work", type=Path, help="folder to keep the tally in, to go on later (default: none)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
