"""Writes plot, page, environment and model card of a finished run, from what is on disk."""

import logging
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optimum_ose.artifact import OSEArtifact
from optimum_ose.exceptions import InvalidConfigError, OutputFolderError
from optimum_ose.export.machine import installed_versions
from optimum_ose.hub.card import build_model_card
from optimum_ose.hub.facts import Candidate, Carbon, CardFacts, Score, Size
from optimum_ose.hub.repository import require_repository
from optimum_ose.records import read_benchmark, read_search
from optimum_ose.report.carbon import read_carbon
from optimum_ose.report.card_file import write_card
from optimum_ose.report.keep_text import keep_sentences
from optimum_ose.report.latency_text import bound_sentence, prediction_sentence
from optimum_ose.report.leaderboard import other_scores
from optimum_ose.report.older_records import reading_records
from optimum_ose.report.page import build_page
from optimum_ose.report.pareto import draw_pareto
from optimum_ose.report.search_table import ranked_candidates, score_name
from optimum_ose.report.speed import speed_sentence
from optimum_ose.report.table import main_metric
from optimum_ose.report.training_text import training_sentences
from optimum_ose.serialization import canonical_json, write_atomic
from optimum_ose.tasks import DEFAULT_TASK

_LOGGER = logging.getLogger(__name__)
_PACKAGES = (
    "optimum-ose",
    "torch",
    "transformers",
    "optimum",
    "accelerate",
    "datasets",
    "onnx",
    "onnxruntime",
    "numpy",
)
_NUM_RUNNERS_UP = 5
_ROWS = ("train", "validation", "test", "unlabeled")


def write_report(artifact: OSEArtifact) -> Path:
    """Write `ose/environment.json`, `ose/pareto.png`, `ose/report.html` and `README.md`.

    A README that somebody has edited stays: see `write_card`.

    Returns:
        Where the card is.

    Raises:
        OutputFolderError: if the run is not finished, or its records are damaged.
    """
    with reading_records(artifact.path):
        return _write(artifact)


def _write(artifact: OSEArtifact) -> Path:
    for path in (artifact.search, artifact.benchmark):
        if not path.is_file():
            raise OutputFolderError(
                f"{artifact.path} must hold a finished run",
                f"{path.name} is missing",
                "Finish it with `optimum-cli ose run`",
            )
    search, benchmark = read_search(artifact.chosen), read_benchmark(artifact.benchmark)
    environment = {
        "python": platform.python_version(),
        "packages": installed_versions(_PACKAGES),
        "machine": benchmark["latency"]["machine"],
    }
    write_atomic(artifact.environment, canonical_json(environment))
    plot = draw_pareto(search)
    write_atomic(artifact.pareto_plot, plot)
    training = (*training_sentences(artifact, search), *keep_sentences(search, benchmark))
    examples = (artifact.stage("benchmark") or {}).get("examples", ())
    page = build_page(
        search,
        benchmark,
        title=artifact.path.resolve().name,
        examples=examples,
        plot=plot,
        training=training,
    )
    write_atomic(artifact.page, page)
    return write_card(artifact, build_model_card(_facts(artifact, search, benchmark, training)))


def _facts(
    artifact: OSEArtifact, search: dict[str, Any], benchmark: dict[str, Any], training: tuple[str, ...]
) -> CardFacts:
    request = artifact.request
    num_rows = {**request.get("num_rows", {}), "test": benchmark["num_test_rows"]}
    scores = tuple(_scores(benchmark))
    sizes = tuple(
        Size(
            model=model,
            parameters=found["parameters"],
            parameters_without_embeddings=found["parameters_without_embeddings"],
            multiply_adds=found["multiply_adds"],
        )
        for model, found in benchmark["sizes"].items()
    )
    return CardFacts(
        model_name=artifact.path.resolve().name,
        task=artifact.question.get("task", request.get("task", DEFAULT_TASK)),
        takes_pairs=bool(request.get("takes_pairs")),
        repo_id=_hub_id(request, "push_to_hub"),
        base_model=_hub_id(request, "base_model"),
        license=request.get("license"),
        license_name=request.get("license_name"),
        license_link=request.get("license_link"),
        languages=tuple(request.get("languages", ())),
        dataset_name=request.get("dataset_name"),
        dataset_id=_hub_id(request, "dataset_id"),
        num_rows={name: num_rows[name] for name in _ROWS if name in num_rows},
        labels=tuple(benchmark["label_names"]),
        scores=scores,
        sizes=sizes,
        sequence_length=benchmark["sizes"]["student"]["sequence_length"],
        input=benchmark["sizes"]["student"].get("input"),
        benchmark=benchmark["latency"],
        default_file=benchmark["default_file"],
        latency_sentences=_latency_sentences(search, benchmark),
        certificate=search["certificate"]["statement"],
        candidates=_candidates(search),
        maximum_point=Candidate(
            architecture=search["space"]["maximum_point"],
            parameter_size=search["maximum_point"][0],
            inference_cost=search["maximum_point"][1],
        ),
        plot=artifact.pareto_plot.relative_to(artifact.path).as_posix(),
        training=training,
        carbon=_carbon(artifact),
        score_name=score_name(search),
        versions=installed_versions(_PACKAGES),
    )


def _scores(benchmark: dict[str, Any]) -> Iterator[Score]:
    """The score that decides, of a benchmark's task all of them, on the test rows and on other sets of rows."""
    sets = {"test": benchmark["scores"], **dict(other_scores(benchmark))}
    for split, found in sets.items():
        for model, formats in found.items():
            for name, values in formats.items():
                shown = [main_metric(benchmark)] if split == "test" and "benchmark_task" not in benchmark else [*values]
                for metric in shown:
                    yield Score(model=model, format=name, metric=metric, value=values[metric], split=split)


def _hub_id(request: dict[str, Any], name: str) -> str | None:
    """A Hub id of the request; one that can be none is left out of the card, and told."""
    value = request.get(name)
    if value is None:
        return None
    try:
        require_repository(value, role=f"`{name}` in ose/run.json", remedy="The card leaves it out")
    except InvalidConfigError as error:
        _LOGGER.warning("%s", error)
        return None
    return str(value)


def _carbon(artifact: OSEArtifact) -> Carbon | None:
    """The emissions; a file that is not codecarbon's is left out of the card, and told."""
    try:
        return read_carbon(artifact.emissions)
    except InvalidConfigError as error:
        _LOGGER.warning("The card tells no emissions: %s", error)
        return None


def _candidates(search: dict[str, Any]) -> tuple[Candidate, ...]:
    """The winner, then the best other architectures."""
    ranked = ranked_candidates(search)[: _NUM_RUNNERS_UP + 1]
    return tuple(Candidate(architecture=item["architecture"], w=item["w"], **item["objectives"]) for item in ranked)


def _latency_sentences(search: dict[str, Any], benchmark: dict[str, Any]) -> tuple[str, ...]:
    """How much faster the student is, and what was asked of its latency, predicted and measured."""
    default = "onnx-int8" if "quantized" in benchmark["default_file"] else "onnx-fp32"
    told = [
        speed_sentence(benchmark["latency"], default),
        bound_sentence(benchmark["latency_bound"]) if "latency_bound" in benchmark else "",
        prediction_sentence(search["latency"]) if "latency" in search else "",
    ]
    return tuple(sentence for sentence in told if sentence)
