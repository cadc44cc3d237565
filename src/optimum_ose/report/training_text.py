"""What a run trained, in sentences, from the records of its stages."""

from collections.abc import Mapping
from typing import Any

from optimum_ose.artifact import OSEArtifact

_TRAINED = ("teacher", "extract", "distill", "finetune")


def training_sentences(artifact: OSEArtifact, search: dict[str, Any]) -> tuple[str, ...]:
    """How teacher, candidates and student were trained; what no record tells is left out.

    Args:
        artifact: the folder of the run.
        search: what `search.json` holds.
    """
    stages = {name: artifact.stage(name) or {} for name in _TRAINED}
    sentences = [
        _teacher(stages["teacher"]),
        _search(search),
        _student(stages["distill"], stages["finetune"], artifact.question.get("config", {})),
        _times({name: record["seconds"] for name, record in stages.items() if "seconds" in record}),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _teacher(record: dict[str, Any]) -> str:
    if "finetuned_here" not in record:
        return ""
    if not record["finetuned_here"]:
        return f"The teacher was already fine-tuned.{_beside_trivial(record)}"
    found = ", ".join(f"{name} {value:.4f}" for name, value in record.get("validation", {}).items())
    first = f"The teacher was fine-tuned here first{f' ({found} on the development rows)' if found else ''}."
    return first + _beside_trivial(record)


def _beside_trivial(record: dict[str, Any]) -> str:
    """What the teacher and a constant answer score on the development rows; runs of older versions did not keep it."""
    if not {"metric", "validation_score", "trivial_score", "trivial_answer"} <= record.keys():
        return ""
    return (
        f" On the development rows it has {record['metric']} {record['validation_score']:.4f}; "
        f"{record['trivial_answer']} has {record['trivial_score']:.4f}."
    )


def _search(search: Mapping[str, Any]) -> str:
    certificate, steps = search["certificate"], search["settings"].get("max_training_steps")
    if search["settings"].get("method") == "inherited":
        return (
            f"The search measured {certificate['num_trained']} of {search['space']['num_architectures']:,} "
            "architectures, each with the weights that it inherits from the teacher, ranked and repaired, untrained."
        )
    if search["settings"].get("method") == "elastic":
        together = search["settings"]["elastic"]["num_steps"]
        return (
            f"The search measured {certificate['num_trained']} of {search['space']['num_architectures']:,} "
            f"architectures, parts of one set of weights that were trained together for {together:,} steps."
        )
    return (
        f"The search trained {certificate['num_trained']} of {search['space']['num_architectures']:,} architectures"
        + (f" for up to {steps:,} steps each" if steps else "")
        + f", {certificate['num_evaluations']} trainings in all."
    )


def _student(distill: dict[str, Any], finetune: dict[str, Any], config: dict[str, Any]) -> str:
    before, after = _score(distill), _score(finetune)
    if before is None:
        return ""
    steps = config.get("distillation", {}).get("num_steps")
    metric = distill.get("metric", "accuracy")
    length = f" for {steps:,} steps" if steps else ""
    start = f"The student started from the teacher's weights and was distilled{length}"
    if "inherited_score" in distill:
        inherited, distilled = (distill[f"{name}_score"] for name in ("inherited", "distilled"))
        changes = f"{metric} {inherited:.4f} before, {distilled:.4f} after, on the development rows"
        return f"{start} ({changes}); the {distill['kept']} weights were kept."
    text = f"{start} ({metric} {before:.4f} on the development rows)"
    if "extracted_score" in distill:
        text = _of_measured(distill, before, metric, length)
    if after is None:
        return f"{text}."
    agora = " with Agora" if config.get("agora") and finetune.get("agora", True) else ""
    return f"{text}, then fine-tuned{agora} ({after:.4f}); the {finetune.get('kept', 'better')} one was kept."


STARTS = {"inherited": "what it inherits alone", "measured": "its measured weights"}
"""What a candidate of an elastic search is distilled from, in words."""


def _of_measured(distill: dict[str, Any], score: float, metric: str, length: str) -> str:
    """The student of an elastic search; `scores` are missing from records of older versions."""
    measured = f"its measured weights had {distill['extracted_score']:.4f}"
    if distill["kept"] == "extracted":
        tried = [f"{found:.4f}" for name, found in distill.get("scores", {}).items() if name != "extracted"]
        ended = f", which ended at {' and '.join(tried)}" if tried else ""
        kept = f"The student has its measured weights ({metric} {score:.4f} on the development rows)"
        return f"{kept}: distillation{length}{ended} did not better them"
    start = STARTS.get(distill["kept"], STARTS["measured"])  # older records say "distilled"
    others = [
        f"; from {STARTS[name]} it ended at {found:.4f}"
        for name, found in distill.get("scores", {}).items()
        if name in STARTS and name != distill["kept"]
    ]
    num_tries = len(distill.get("tries", ()))
    candidates = f"; {num_tries} candidates were tried" if num_tries > 1 else ""
    scores = f"{metric} {score:.4f} on the development rows; {measured}{''.join(others)}{candidates}"
    return f"The student was distilled{length} from {start} ({scores})"


def _score(record: dict[str, Any]) -> float | None:
    """On the development rows; under both names that versions have used."""
    found: float | None = record.get("validation_score", record.get("validation_accuracy"))
    return found


def _times(seconds: dict[str, float]) -> str:
    named = ", ".join(f"{name} {value:,.0f} s" for name, value in seconds.items())
    return f"Time of the stages that train: {named}." if named else ""
