"""The records in `ose/`: what each must hold, checked wherever one is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from optimum_ose.exceptions import InvalidConfigError, OSEError, OutputFolderError
from optimum_ose.serialization import read_json
from optimum_ose.wording import listed, one_line

_Count = Annotated[int, Field(ge=0, strict=True)]
_Size = Annotated[int, Field(ge=1, strict=True)]
_Text = Annotated[str, Field(strict=True)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Mapping = dict[str, Any]
_Architecture = Annotated[dict[str, _Size], Field(min_length=1)]


class _Open(TypedDict):
    """A record that may hold more than is checked: other versions wrote more or less."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]


class Request(_Open):
    """The arguments of a run, as `run.json` keeps them; none of a run from Python."""

    model: NotRequired[_Text]
    dataset: NotRequired[_Text]
    task: NotRequired[_Text]
    text_column: NotRequired[_Text | None]
    text_pair_column: NotRequired[_Text | None]
    label_column: NotRequired[_Text | None]
    unlabeled: NotRequired[_Text | None]
    problem_type: NotRequired[_Text | None]
    benchmark_task: NotRequired[_Text | None]
    train_split: NotRequired[_Text | None]
    eval_split: NotRequired[_Text | None]
    test_split: NotRequired[_Text | None]
    trust_remote_code: NotRequired[Annotated[bool, Field(strict=True)]]
    seed: NotRequired[_Count | None]
    config: NotRequired[_Mapping]
    push_to_hub: NotRequired[_Text | None]
    search_from: NotRequired[_Text | None]
    base_model: NotRequired[_Text | None]
    num_rows: NotRequired[dict[str, _Count]]


class _File(_Open):
    size: _Count
    sha256: _Text


class Dependencies(_Open):
    """What a finished stage depended on and left."""

    settings: NotRequired[_Mapping]
    inputs: NotRequired[dict[str, _Text]]
    files: NotRequired[dict[str, _File | None]]


class RunRecord(_Open):
    """`ose/run.json`."""

    question: _Mapping
    request: Request
    stages: dict[str, _Mapping]
    dependencies: NotRequired[dict[str, Dependencies]]


class _Objectives(_Open):
    parameter_size: _Number
    inference_cost: _Number
    error: _Number | None


class _Evaluation(_Open):
    architecture: _Architecture
    theta: _Mapping
    w: _Number | None
    objectives: _Objectives
    failed: NotRequired[bool]


class _Certificate(_Open):
    statement: _Text
    num_trained: _Count
    num_candidates: _Count


class _Space(_Open):
    axes: dict[str, list[_Size]]
    constraints: list[_Text]
    num_architectures: _Count
    maximum_point: _Architecture


class SearchRecord(_Open):
    """`ose/search.json`."""

    winner: _Evaluation
    maximum_point: Annotated[list[_Number], Field(min_length=2, max_length=2)]
    certificate: _Certificate
    evaluations: Annotated[list[_Evaluation], Field(min_length=1)]
    pareto_front: Annotated[list[_Evaluation], Field(min_length=1)]
    space: _Space
    settings: _Mapping


class _Latency(_Open):
    results: list[_Mapping]
    machine: _Mapping


class _Pair(_Open):
    teacher: _Mapping
    student: _Mapping


class BenchmarkRecord(_Open):
    """`ose/benchmark.json`."""

    scores: _Pair
    sizes: _Pair
    latency: _Latency
    default_file: _Text
    label_names: list[_Text]
    num_test_rows: _Count
    benchmark_task: NotRequired[_Text]
    further_scores: NotRequired[dict[str, _Mapping]]
    diagnostic_scores: NotRequired[dict[str, _Mapping]]


class Training(_Open):
    """A journal entry of one short distillation."""

    architecture: _Architecture
    theta: _Mapping
    replicate: _Count
    error: _Number | None


class TimingBlock(_Open):
    """A journal entry of one timing block."""

    kind: _Text
    architecture: _Architecture
    round: _Count


_RUN = TypeAdapter(RunRecord)
_SEARCH = TypeAdapter(SearchRecord)
_BENCHMARK = TypeAdapter(BenchmarkRecord)
_ENTRIES: tuple[tuple[TypeAdapter[Any], frozenset[str]], ...] = (
    (TypeAdapter(Training), frozenset({"theta", "replicate"})),
    (TypeAdapter(TimingBlock), frozenset({"kind", "round"})),
)
"""Kinds of journal entries, and the names by which one is known even if it is not whole."""


def read_run(path: Path) -> dict[str, Any]:
    """The content of a `run.json`.

    Raises:
        OutputFolderError: if it is damaged.
    """
    return _read(
        path, _RUN, "Restore it from a copy, or choose another folder; a finished search can be kept (--search-from)"
    )


def read_search(path: Path) -> dict[str, Any]:
    """The content of a `search.json`.

    Raises:
        OutputFolderError: if it is missing or damaged, or its winner does not lie in its search space.
    """
    remedy = "Run `optimum-cli ose run` or `extract` with the arguments of this folder: it is made again"
    found = _read(path, _SEARCH, remedy)
    chosen, largest = found["winner"]["architecture"], found["space"]["maximum_point"]
    if faults := sorted(set(largest) ^ set(chosen)) or sorted(axis for axis in chosen if chosen[axis] > largest[axis]):
        raise OutputFolderError(
            f"The winner in {path} must be an architecture of its search space",
            f"it does not fit in {listed(faults)}",
            remedy,
        )
    return found


def read_benchmark(path: Path) -> dict[str, Any]:
    """The content of a `benchmark.json`.

    Raises:
        OutputFolderError: if it is missing or damaged.
    """
    return _read(path, _BENCHMARK, "Run `optimum-cli ose run` with the arguments of this folder: it is made again")


def journal_fault(entry: Mapping[str, Any]) -> str | None:
    """What a journal entry of a training or a timing block lacks; None if it is whole, or of another kind."""
    for kind, names in _ENTRIES:
        if names & entry.keys():
            try:
                kind.validate_python(entry)
            except ValidationError as error:
                return _first_fault(error)
    return None


def _read(path: Path, kind: TypeAdapter[Any], remedy: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = read_json(path)
    except FileNotFoundError as error:
        raise OutputFolderError(f"{path} must be there", "it is missing", remedy) from error
    except InvalidConfigError as error:
        raise OutputFolderError(f"{path} must hold what optimum-ose wrote", error.actual, remedy) from error
    except OSError as error:
        if isinstance(error, OSEError):
            raise
        reason = error.strerror or str(error)
        raise OutputFolderError(f"{path} must be readable", f"reading it failed: {reason}", remedy) from error
    try:
        kind.validate_python(found)
    except ValidationError as error:
        raise OutputFolderError(f"{path} must hold what optimum-ose wrote", _first_fault(error), remedy) from error
    return found


def _first_fault(error: ValidationError) -> str:
    """The first fault that pydantic found, with its place, in one line."""
    fault = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(one_line(part, limit=40) for part in fault["loc"])
    return f"{place or 'its content'}: {one_line(fault['msg'], limit=120)}"
