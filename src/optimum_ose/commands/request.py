"""What a user asks for as a record, and the run it opens."""

from argparse import Namespace
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from optimum_ose.commands.arguments import NEEDED
from optimum_ose.commands.provenance import provenance
from optimum_ose.commands.settings import seeded, settings_of
from optimum_ose.configuration import OSEConfig
from optimum_ose.configuration.kinds import STRICT, Filled, Seed, Settings
from optimum_ose.configuration.reading import config_from_dict
from optimum_ose.configuration.rules import check
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.progress import Listener, working
from optimum_ose.tasks import CHOICE_TASK, DEFAULT_TASK

if TYPE_CHECKING:
    from optimum_ose.pipeline.run import Run


Name = Annotated[str, Filled()]
"""Text that is not empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a user asks for; kept in the output folder so that later stages need not be told again."""

    __pydantic_config__: ClassVar[Any] = STRICT

    model: Name
    dataset: Name
    dataset_config: str | None = None
    task: str = DEFAULT_TASK
    text_column: str | None = None
    text_pair_column: str | None = None
    label_column: str | None = None
    unlabeled: str | None = None
    problem_type: str | None = None
    benchmark_task: str | None = None
    train_split: str | None = None
    eval_split: str | None = None
    test_split: str | None = None
    trust_remote_code: bool = False
    seed: Seed | None = None
    config: Settings = field(default_factory=lambda: MappingProxyType({}))
    push_to_hub: str | None = None
    search_from: str | None = None
    base_model: str | None = None

    def __post_init__(self) -> None:
        check(self)


def request_of(arguments: Namespace) -> RunRequest:
    """The request that command-line arguments make. What it names is checked as far as no file need be read.

    Raises:
        InvalidConfigError: if an argument is missing, a setting is wrong, or a name cannot be a Hub id.
        UnsupportedModelError: if the command line does not handle the task.
    """
    from optimum_ose.hub.repository import require_repository
    from optimum_ose.tasks import distillable_task

    missing = [f"--{name}" for name in NEEDED if getattr(arguments, name) is None]
    if missing:
        raise InvalidConfigError(
            "A run needs --model, --dataset and --output", f"missing: {', '.join(missing)}", "Give them too"
        )
    settings = settings_of(arguments)
    task = arguments.task or _default_task(arguments.benchmark_task)
    distillable_task(task)
    for name, remedy in (
        ("base_model", "Leave it out for a teacher of your own"),
        ("push_to_hub", "Give user/name, or leave it out"),
    ):
        repository = getattr(arguments, name, None)
        if repository is not None:
            require_repository(repository, role=f"--{name.replace('_', '-')}", remedy=remedy)
    named = {item.name for item in fields(RunRequest)} - {"config"}
    given = {name: value for name, value in vars(arguments).items() if name in named}
    return RunRequest(**{**given, "task": task}, config=settings)


def _default_task(benchmark_task: str | None) -> str:
    """The task where none is named.

    Raises:
        InvalidConfigError: if there is no such benchmark's task.
    """
    from optimum_ose.data.benchmark_tasks import benchmark_task as found

    has_choices = benchmark_task is not None and found(benchmark_task).has_fixed_choices
    return CHOICE_TASK if has_choices else DEFAULT_TASK


def open_request(request: RunRequest, folder: Path, listener: Listener) -> "Run":
    """Load data and teacher, and open the output folder.

    Raises:
        OSEError: if anything asked for is not there or does not fit.
    """
    with working(listener, "loading", None):
        return _open(request, folder, listener)


def _open(request: RunRequest, folder: Path, listener: Listener) -> "Run":
    from optimum_ose.data.columns import Columns
    from optimum_ose.data.request import DataRequest, further_rows
    from optimum_ose.data.unlabeled import read_unlabeled
    from optimum_ose.modeling.loading import load_config
    from optimum_ose.pipeline.optimizer import OSEOptimizer
    from optimum_ose.pipeline.run import Rows, open_run, take_over
    from optimum_ose.tasks import distillable_task

    task = distillable_task(request.task)
    config = seeded(config_from_dict(OSEConfig, request.config), request.seed)
    names = {"train": request.train_split, "validation": request.eval_split, "test": request.test_split}
    columns = Columns(
        text=request.text_column,
        text_pair=request.text_pair_column,
        label=request.label_column,
        problem_type=request.problem_type,
    )
    asked = DataRequest(
        source=request.dataset,
        subset=request.dataset_config,
        split_names=names,
        columns=columns,
        benchmark_task=request.benchmark_task,
        seed=request.seed or 0,
    )
    splits = task.inputs.read(asked)
    further = further_rows(asked, splits)
    unlabeled = None
    if request.unlabeled is not None:
        unlabeled = read_unlabeled(Path(request.unlabeled), splits, is_labeled=task.has_labels)
    has_head = task.holds_head(load_config(request.model, trust_remote_code=request.trust_remote_code))
    optimizer = OSEOptimizer.from_pretrained(
        request.model,
        task=request.task,
        num_labels=None if has_head else splits.num_outputs,
        max_length=config.max_length,
        trust_remote_code=request.trust_remote_code,
        listener=listener,
        benchmark_task=request.benchmark_task,
    )
    unlabeled = optimizer.checked_unlabeled(unlabeled)
    rows = Rows(
        train=splits.train, validation=splits.validation, test=splits.test, unlabeled=unlabeled, further=further
    )
    kept = {**asdict(replace(request, config={})), "config": dict(request.config), **provenance(request)}
    kept["takes_pairs"] = task.has_labels and "text_pair" in splits.train.column_names
    kept["num_rows"] = {name: len(getattr(splits, name)) for name in names}
    if further is not None:
        kept["num_rows"]["further"] = len(further)
    if unlabeled is not None:
        kept["num_rows"]["unlabeled"] = len(unlabeled)
    run = open_run(optimizer, folder, rows, config, request=kept)
    if request.search_from is not None:
        take_over(run, Path(request.search_from))
    return run


def reopen(folder: Path, listener: Listener, *, trust_remote_code: bool = False) -> "Run":
    """The run of a folder that an earlier command wrote.

    Raises:
        InvalidConfigError: if its model runs code of its own and this command was not told to trust it: the folder
            may come from somebody else.
    """
    from optimum_ose.artifact import OSEArtifact

    kept = OSEArtifact.open(folder).request
    if kept.get("trust_remote_code") and not trust_remote_code:
        raise InvalidConfigError(
            "Code that comes with a model must be trusted by whoever runs it",
            f"ose/run.json in {folder} asks for it, and this command does not",
            "Give --trust-remote-code if you trust the model",
        )
    named = {item.name for item in fields(RunRequest)}
    known = {name: value for name, value in kept.items() if name in named}
    request = config_from_dict(RunRequest, known, owner=f"The request in {folder}/ose/run.json")
    return open_request(request, folder, listener)
