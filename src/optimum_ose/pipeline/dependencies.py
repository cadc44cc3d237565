"""What each stage of a run depends on and leaves: which stages are still to do, and which settings may change."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, get_args

from optimum_ose.artifact import OSEArtifact
from optimum_ose.configuration.search import FREE_SEARCH_SETTINGS, SIZE_BOUNDS
from optimum_ose.exceptions import JournalError, OutputFolderError
from optimum_ose.serialization import digest, plain
from optimum_ose.wording import listed, shown

Stage = Literal["teacher", "extract", "distill", "finetune", "export", "benchmark", "report"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In their order."""
_DATA = ("train", "validation")
_MODEL = ("task", "model", "max_length", "benchmark_task")
_MODEL_FILES = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json")
_PREPROCESSOR_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.*"),
    *("merges.txt", "*.model", "preprocessor_config.json", "chat_template.jinja"),
    *("modules.json", "sentence_bert_config.json", "1_Pooling/config.json"),
)
_FOLDER_FILES = (*_MODEL_FILES, *_PREPROCESSOR_FILES)
_CHECKPOINTS = "checkpoints/"
"""Only unfinished stages need what lies there: a finished folder may do without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """Of one stage."""

    settings: tuple[str, ...]
    """Parts of the question that change what it does; a part stands for everything below it."""
    reads: tuple[Stage, ...] = ()
    """Stages whose files it reads."""
    files: tuple[str, ...] = ()
    """Patterns of the files that it leaves; a changed one is made again."""
    kept: tuple[str, ...] = ()
    """Patterns of files that it leaves and users may edit; only a missing one is made again."""


_RULES: Mapping[Stage, _Rule] = {
    "teacher": _Rule(
        settings=(*_MODEL, *_DATA, "config.teacher_arguments"), files=tuple(f"teacher/{name}" for name in _FOLDER_FILES)
    ),
    "extract": _Rule(
        settings=(*_MODEL, *_DATA, "config.search"),
        reads=("teacher",),
        files=("ose/search.json", *(f"{_CHECKPOINTS}extracted/{name}" for name in _FOLDER_FILES)),
    ),
    "distill": _Rule(
        settings=("max_length", "benchmark_task", "train", "unlabeled", "config.distillation"),
        reads=("teacher", "extract"),
        files=("ose/choice.json", *(f"{_CHECKPOINTS}distilled/{name}" for name in _FOLDER_FILES)),
    ),
    "finetune": _Rule(
        settings=("max_length", "benchmark_task", *_DATA, "config.agora", "config.student_arguments"),
        reads=("teacher", "distill"),
        files=tuple(f"{_CHECKPOINTS}student/{name}" for name in _FOLDER_FILES),
    ),
    "export": _Rule(
        settings=("config.export",),
        reads=("teacher", "finetune"),
        files=(
            *_FOLDER_FILES,
            "onnx/*.onnx*",
            f"{_CHECKPOINTS}teacher-onnx/onnx/*.onnx*",
            f"{_CHECKPOINTS}teacher-onnx/*.json",
        ),
    ),
    "benchmark": _Rule(
        settings=(
            *(
                "benchmark_task",
                "validation",
                "test",
                "further",
                "config.export.block_seconds",
                "config.export.max_score_loss",
            ),
            *("config.search.sequence_length", "config.search.max_latency_ms"),
        ),
        reads=("teacher", "extract", "export"),
        files=("ose/benchmark.json",),
    ),
    "report": _Rule(
        settings=("request.push_to_hub", "request.base_model"),
        reads=("extract", "distill", "benchmark"),
        kept=("README.md", "ose/pareto.png", "ose/report.html", "ose/environment.json"),
    ),
}
_FREE = (
    *("config.distillation.checkpoint_steps", "config.distillation.log_with"),
    *("config.export.block_seconds", "config.export.max_score_loss"),
)
"""Settings inside a stage's part that change nothing of what it leaves."""
_OF_THE_STUDENT: tuple[Stage, ...] = ("extract", "distill", "export", "benchmark")
"""Stages that leave what the report tells of."""
_REPEATABLE: tuple[Stage, ...] = ("report",)
"""Stages that are done again without a question when their settings change: seconds of work, from what is on disk."""


def settings_of(stage: Stage, question: Mapping[str, Any], *, has_head: bool) -> dict[str, Any]:
    """The settings that a stage depends on, by dotted name.

    Args:
        stage: which one.
        question: what the run is asked, with the request under "request".
        has_head: whether the teacher came with its head: then the stage "teacher" trains nothing.
    """
    parts = _MODEL if stage == "teacher" and has_head else _RULES[stage].settings
    return {
        name: value
        for name, value in _flat(plain(question))
        if any(name == part or name.startswith(f"{part}.") for part in parts)
        and (name in parts or name not in _FREE)
        and name != "config.max_length"  # the effective length counts
    }


def files_of(stage: Stage, folder: Path) -> dict[str, Any]:
    """What a stage has left in the folder: size and SHA-256 by relative path; of files that users may edit, None."""
    rule = _RULES[stage]
    found = {_name(path, folder): _state(path) for pattern in rule.files for path in folder.glob(pattern)}
    return found | {_name(path, folder): None for pattern in rule.kept for path in folder.glob(pattern)}


def inputs_of(stage: Stage, artifact: OSEArtifact) -> dict[str, str]:
    """A digest of the files of each stage that this one reads."""
    return {other: digest(artifact.dependencies(other).get("files", {})) for other in _RULES[stage].reads}


def stages_to_do(artifact: OSEArtifact) -> dict[Stage, str]:
    """Why each stage that is not finished, or lost what is needed of its files, must be done."""
    found: dict[Stage, str] = {}
    for stage in reversed(STAGES):
        if artifact.stage(stage) is None:
            found[stage] = "it is not finished"
            continue
        is_read = any(stage in _RULES[later].reads for later in found)
        if faults := [fault for _, fault in _faults(artifact, stage, with_checkpoints=is_read)]:
            found[stage] = listed(faults, limit=3)
    return found


def require_whole(artifact: OSEArtifact, *, patterns: Iterable[str] = ("*",)) -> None:
    """Pass if the student's files and the records are those that the run left: a report of others would be false.

    Args:
        artifact: the folder.
        patterns: of the files that count.

    Raises:
        OutputFolderError: if one is missing or has changed.
    """
    for stage in _OF_THE_STUDENT:
        if artifact.stage(stage) is None:
            continue
        found = _faults(artifact, stage, with_checkpoints=False)
        if told := [fault for name, fault in found if any(fnmatch(name, pattern) for pattern in patterns)]:
            raise OutputFolderError(
                f"{artifact.path} must hold the files that its run wrote",
                listed(told, limit=3),
                "Restore them from a copy, or run `optimum-cli ose run` with the arguments of this folder: stage "
                f"{stage!r} is done again",
            )


def changed_input(stage: Stage, artifact: OSEArtifact) -> str | None:
    """Why a finished stage must be done again: a stage that it reads has left something else since then."""
    recorded = artifact.dependencies(stage).get("inputs")
    now = inputs_of(stage, artifact)
    if recorded is None or recorded == now:
        return None
    return f"{listed(name for name in now if recorded.get(name) != now[name])} has changed"


def require_unchanged(artifact: OSEArtifact, question: Mapping[str, Any], *, has_head: bool) -> list[Stage]:
    """Pass if no stage is finished that other settings would change; stages that merely report are returned.

    Args:
        artifact: the folder.
        question: what is asked now, with the request under "request".
        has_head: whether the teacher came with its head.

    Raises:
        JournalError: if one is.
    """
    to_do = stages_to_do(artifact)
    earlier = {**artifact.question, "request": artifact.request}
    repeated: list[Stage] = []
    for stage in STAGES:
        if stage in to_do:
            continue
        asked = settings_of(stage, question, has_head=has_head)
        found = artifact.dependencies(stage).get("settings") or settings_of(stage, earlier, has_head=has_head)
        differing = {name: (found.get(name), asked.get(name)) for name in found | asked}
        differing = {name: (old, new) for name, (old, new) in differing.items() if old != new}
        if differing and stage in _REPEATABLE:
            repeated.append(stage)
        elif differing:
            raise _refusal(artifact, stage, differing, question)
    return repeated


def _refusal(
    artifact: OSEArtifact, stage: Stage, differing: Mapping[str, tuple[Any, Any]], question: Mapping[str, Any]
) -> JournalError:
    told = [
        f"{name.removeprefix('config.')} was {shown(old, limit=40)}, now {shown(new, limit=40)}"
        for name, (old, new) in sorted(differing.items())
        if "." in name
    ]
    tops = sorted({name.partition(".")[0] for name in differing})
    details = f" ({listed(told, limit=4)})" if told else ""
    repeat = "Repeat the arguments of the first run"
    if not artifact.dependencies(stage):
        repeat += " with the version of optimum-ose that wrote the folder: it is an earlier one"
    return JournalError(
        f"The output folder {artifact.path} must answer the question that is asked now",
        f"it answers another one: {', '.join(tops)} differ{details}, and stage {stage!r} is finished",
        f"{repeat}, or use another output folder{_taken_over(artifact, question)}",
    )


def _taken_over(artifact: OSEArtifact, question: Mapping[str, Any]) -> str:
    """How another folder gets what the search of this one has trained; empty if it cannot."""
    kept = [(artifact.question.get(name), question.get(name)) for name in (*_MODEL, *_DATA)]
    old, new = (dict(asked.get("config", {}).get("search", {})) for asked in (artifact.question, plain(question)))
    kept += [(old.get(name), new.get(name)) for name in (old.keys() | new.keys()) - FREE_SEARCH_SETTINGS]
    elastic = (*SIZE_BOUNDS, "method", "elastic", "axes") if "elastic" in (old.get("method"), new.get("method")) else ()
    kept += [(old.get(name), new.get(name)) for name in elastic]  # other shared weights would be trained
    if artifact.stage("extract") is None or any(before != now for before, now in kept):
        return ""
    finetuned = (artifact.stage("teacher") or {}).get("finetuned_here")
    teacher = f" and --model {artifact.teacher}" if finetuned else ""
    return f": there --search-from {artifact.path}{teacher} takes over what the search has trained"


def _faults(artifact: OSEArtifact, stage: Stage, *, with_checkpoints: bool) -> Iterator[tuple[str, str]]:
    """Names of a stage's files that are not as it left them, and what is wrong with each."""
    for name, state in artifact.dependencies(stage).get("files", {}).items():
        path = artifact.path / name
        if name.startswith(_CHECKPOINTS) and not with_checkpoints:
            continue
        if not path.is_file():
            yield name, f"{name} is missing"
        elif state is not None and path.stat().st_size != state["size"]:
            yield name, f"{name} has {path.stat().st_size:,} bytes instead of {state['size']:,}"
        elif state is not None and _state(path) != state:
            yield name, f"{name} has changed"


def _state(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item
