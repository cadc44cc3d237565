"""The search of a run, and its record."""

from dataclasses import dataclass
from typing import Any, final

from optimum_ose.configuration import SearchConfig
from optimum_ose.core.architecture import sizes_in_words
from optimum_ose.core.results import SearchResult
from optimum_ose.optimizer.settling import widened
from optimum_ose.optimizer.verbs import Verbs
from optimum_ose.pipeline.run import Run
from optimum_ose.serialization import plain, result_to_dict


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a search has found, and by which settings."""

    result: SearchResult
    config: SearchConfig


def search(run: Run, config: SearchConfig, *, least_share: float | None = None) -> Searched:
    """Search with a run's rows and journal. Where no candidate has the wanted share of the teacher's score, and larger
    ones were left out by default only, these are measured too.

    Args:
        run: whose `config.search` may differ.
        config: settled settings.
        least_share: see `OSEOptimizer.extract`.
    """
    found = _search(run, config, least_share)
    choice = run.optimizer.choice
    if choice is None or choice.num_kept:
        return found
    wider = widened(run.optimizer.search_space(config), config)
    if wider is None:
        return found
    run.optimizer.listener.say(
        f"none of them has {choice.least_share:.1%} of the teacher's score as measured: larger candidates are measured"
    )
    return _search(run, wider, least_share)


def _search(run: Run, config: SearchConfig, least_share: float | None) -> Searched:
    result = run.optimizer.extract(
        config,
        train_dataset=run.rows.train,
        eval_dataset=run.rows.validation,
        journal=run.artifact.journal,
        elastic_folder=run.artifact.elastic,
        least_share=least_share,
    )
    return Searched(result=result, config=config)


def search_record(optimizer: Verbs, found: Searched) -> dict[str, Any]:
    """What `search.json` and `choice.json` hold."""
    space = optimizer.search_space(found.config)
    described = {
        "axes": {axis: list(values) for axis, values in space.axes.items()},
        "constraints": [constraint.sentence for constraint in space.constraints],
        "num_architectures": len(space),
        "maximum_point": dict(space.maximum_point),
    }
    content = {**result_to_dict(found.result), "space": described, "settings": plain(found.config)}
    if optimizer.latency is not None:
        content["latency"] = optimizer.latency.to_dict(space, found.result.architecture)
    if optimizer.measured:
        content["scores"] = {sizes_in_words(architecture): score for architecture, score in optimizer.measured.items()}
    if optimizer.choice is not None:
        content["keep"] = {**plain(optimizer.choice), "statement": optimizer.choice.statement}
    return content
