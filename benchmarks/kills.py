"""Owns the benchmark of a search, or a whole run, that is killed: SIGKILLs at random moments lose no finished
evaluation, and the same `search.json` comes out, of a whole run the same weights as well.

One is left alone and timed. Then others of the same question are started and killed, again and again in the same
folder until one comes to its end, then in the next folder, until enough kills were dealt.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

import optimum_ose.pipeline.runner  # noqa: F401  (children inherit the imports)
from optimum_ose.__main__ import main as command
from optimum_ose.artifact import OSEArtifact
from optimum_ose.pipeline.dependencies import STAGES

_HOPELESS = 20
"""After so many kills in one folder the search is left alone, so that every folder comes to its end."""
_RESULTS = {"extract": ("ose/search.json",), "run": ("ose/search.json", "model.safetensors")}
"""Verb -> files that must come out with the same bytes."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the kills did."""

    num_kills: int = 0
    """Processes killed before they ended."""
    stages: Counter[str] = field(default_factory=Counter)
    """Kills by the stage that they met."""
    num_in_training: int = 0
    """Kills after the first evaluation of their folder was journaled."""
    num_lost: int = 0
    """Journal lines that a later start no longer had."""
    num_searches: int = 0
    """Folders that came to their end after kills."""
    num_different: int = 0
    """Of these, how many ended with other bytes."""
    moments: list[float] = field(default_factory=list)
    """Seconds from start to kill."""


def main() -> int:
    """Run the benchmark; the exit code is 1 if an evaluation was lost or a result differs."""
    options = _parse()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    random = np.random.default_rng(options.seed)
    with TemporaryDirectory() as scratch:
        words = [options.verb, "--model", options.model, "--dataset", options.dataset]
        words += ["--config", str(options.config)] if options.config else []
        undisturbed, seconds = Path(scratch) / "undisturbed", time.perf_counter()
        process = _start(words, undisturbed)
        process.join()
        _require_success(process)
        seconds = time.perf_counter() - seconds
        expected = _results(undisturbed, options.verb)
        tally = Tally()
        with tqdm(total=options.kills, desc="kills", disable=None) as bar:
            while tally.num_kills < options.kills:
                folder = Path(scratch) / "killed"
                shutil.rmtree(folder, ignore_errors=True)
                _kill_until_it_ends(words, folder, tally, random, seconds=seconds, limit=options.kills, bar=bar)
                tally.num_searches += 1
                tally.num_different += _results(folder, options.verb) != expected
    print(f"undisturbed: {seconds:.1f} s; kills between {min(tally.moments):.2f} and {max(tally.moments):.2f} s")
    print("kills by stage: " + ", ".join(f"{stage} {count}" for stage, count in tally.stages.most_common()))
    print("| kills | after a first evaluation | ended | evaluations lost | other bytes |")
    print("|---|---|---|---|---|")
    counts = (tally.num_kills, tally.num_in_training, tally.num_searches, tally.num_lost, tally.num_different)
    print("| " + " | ".join(map(str, counts)) + " |")
    return int(tally.num_lost > 0 or tally.num_different > 0)


def _kill_until_it_ends(
    words: list[str],
    folder: Path,
    tally: Tally,
    random: np.random.Generator,
    *,
    seconds: float,
    limit: int,
    bar: "tqdm[object]",
) -> None:
    seen: list[bytes] = []
    for attempt in range(sys.maxsize):
        process = _start(words, folder)
        moment = float(random.uniform(0.0, seconds))
        process.join(moment if attempt < _HOPELESS and tally.num_kills < limit else None)
        is_killed = process.is_alive()
        if is_killed and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        lines = _whole_lines(OSEArtifact(folder).journal)
        tally.num_lost += sum(line not in lines for line in seen)
        seen = lines
        if not is_killed:
            _require_success(process)
            return
        tally.num_kills += 1
        tally.num_in_training += len(lines) > 1
        tally.stages[_stage_met(folder)] += 1
        tally.moments.append(moment)
        bar.update()


def _stage_met(folder: Path) -> str:
    if not (folder / "ose" / "run.json").is_file():
        return "start"
    return next((stage for stage in STAGES if not OSEArtifact(folder).stage(stage)), "end")


def _results(folder: Path, verb: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in _RESULTS[verb]]


def _start(words: list[str], folder: Path) -> multiprocessing.Process:
    """A command in a process that inherits the imports of this one."""
    process = multiprocessing.get_context("fork").Process(target=_run, args=([*words, "--output", str(folder)],))
    process.start()
    return process


def _require_success(process: multiprocessing.Process) -> None:
    if process.exitcode:
        raise SystemExit(
            f"an undisturbed command ended with exit code {process.exitcode}; give `optimum-cli ose` the same arguments"
        )


def _run(words: list[str]) -> None:
    sys.argv = ["optimum_ose", *words]
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
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
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
