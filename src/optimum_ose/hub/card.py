"""The model card: Hub metadata and a README made from what really happened."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from optimum_ose.artifact import input_of
from optimum_ose.hub.facts import Carbon, CardFacts, Role
from optimum_ose.hub.markdown import as_text
from optimum_ose.hub.usage import usage_section

_ROLES: tuple[Role, ...] = ("teacher", "student")
_LARGE = 1e4
"""From here on a number is shown whole."""
_FORMAT_NAMES = {"pytorch-fp32": "PyTorch fp32", "onnx-fp32": "ONNX fp32", "onnx-int8": "ONNX int8"}


def build_model_card(facts: CardFacts) -> str:
    """The text of README.md: metadata that the Hub accepts, and a section for each group of facts there is.

    Args:
        facts: what happened. Nothing else is told.

    Returns:
        Markdown with a YAML head, the same for the same facts.
    """
    sections = [
        f"# {as_text(facts.model_name)}",
        _introduction(facts),
        _scores(facts),
        _sizes(facts),
        _latency(facts.benchmark, facts.latency_sentences),
        _search(facts),
        _section("Training", [as_text(sentence) for sentence in facts.training]),
        usage_section(facts),
        _carbon(facts.carbon),
        _versions(facts.versions),
    ]
    body = "\n\n".join(section for section in sections if section)
    return str(ModelCard(f"---\n{_metadata(facts).to_yaml()}\n---\n\n{body}\n"))


def _metadata(facts: CardFacts) -> ModelCardData:
    dataset = _line(facts.dataset_name or facts.dataset_id or "")
    results = [
        EvalResult(
            task_type=_line(facts.task),
            dataset_type=facts.dataset_id or dataset,
            dataset_name=dataset,
            dataset_split=_line(score.split),
            metric_type=_line(score.metric),
            metric_name=_line(f"{score.metric} ({_format_name(score.format)})"),
            metric_value=score.value,
        )
        for score in facts.finite_scores
        if score.model == "student" and dataset
    ]
    return ModelCardData(
        base_model=facts.base_model,
        co2_eq_emissions=_emissions(facts.carbon),
        datasets=[facts.dataset_id] if facts.dataset_id else None,
        eval_results=results or None,
        language=[_line(language) for language in facts.languages] or None,
        library_name="transformers",
        license=_optional_line(facts.license),
        license_name=_optional_line(facts.license_name),
        license_link=_web_address(facts.license_link),
        model_name=_line(facts.model_name) if results else None,
        pipeline_tag=_line(facts.task),
        tags=["optimum-ose", "onnx", "distillation", "optimal-subarchitecture-extraction"],
    )


def _introduction(facts: CardFacts) -> str:
    teacher = (
        f"[{facts.base_model}](https://huggingface.co/{facts.base_model})" if facts.base_model else "a larger model"
    )
    sentences = [f"A small model for {as_text(facts.task)}, extracted and distilled from {teacher} with optimum-ose."]
    dataset = facts.dataset_name or facts.dataset_id
    if dataset:
        rows = ", ".join(f"{count:,} {as_text(split)}" for split, count in facts.num_rows.items())
        sentences.append(f"Data: {as_text(dataset)}{f' ({rows} rows)' if rows else ''}.")
    if facts.labels:
        sentences.append(f"Labels: {', '.join(as_text(label) for label in facts.labels)}.")
    return " ".join(sentences)


def _scores(facts: CardFacts) -> str:
    parts = []
    for metric, split in dict.fromkeys((score.metric, score.split) for score in facts.finite_scores):
        cells = {
            (score.format, score.model): f"{score.value:.4f}"
            for score in facts.finite_scores
            if (score.metric, score.split) == (metric, split)
        }
        formats = dict.fromkeys(kind for kind, _ in cells)
        rows = [(_format_name(kind), *(cells.get((kind, role), "") for role in _ROLES)) for kind in formats]
        parts.append(_table((f"{metric} on {split}", *_ROLES), rows))
    return _section("Scores", parts)


def _sizes(facts: CardFacts) -> str:
    by_role = {size.model: size for size in facts.sizes}
    counted_with = input_of({"input": facts.input, "sequence_length": facts.sequence_length})
    attributes = {
        "parameters": "parameters",
        "without embeddings": "parameters_without_embeddings",
        f"multiply-adds ({counted_with})": "multiply_adds",
    }
    rows = [
        (title, *(_number(getattr(by_role.get(role), attribute, None)) for role in _ROLES))
        for title, attribute in attributes.items()
    ]
    files = {(entry["format"], entry["model"]): entry["size_bytes"] for entry in facts.benchmark.get("results", ())}
    rows += [
        (f"{_format_name(kind)}, MB", *(_scaled(files.get((kind, role)), 1e-6) for role in _ROLES))
        for kind in dict.fromkeys(kind for kind, _ in files)
    ]
    rows = [row for row in rows if any(row[1:])]
    return _section("Size", [_table(("", *_ROLES), rows)] if rows else [])


def _latency(benchmark: Mapping[str, Any], sentences: Sequence[str]) -> str:
    results = {(entry["format"], entry["model"]): entry for entry in benchmark.get("results", ())}
    if not results:
        return ""
    quiet = benchmark.get("undisturbed", not benchmark.get("num_contended_blocks", 0))
    rows = [
        (_format_name(kind), *(_latency_cell(results.get((kind, role)), quiet) for role in _ROLES))
        for kind in dict.fromkeys(kind for kind, _ in results)
    ]
    machine = benchmark["machine"]
    cpu = f"{machine.get('cpu', 'an unnamed CPU')} {' '.join(map(str, machine.get('cpu_flags', ())))}".rstrip()
    conditions = as_text(
        f"{'Milliseconds' if quiet else 'CPU milliseconds'} per batch of {benchmark['batch_size']} x "
        f"{input_of(benchmark)}, {'median (95th percentile)' if quiet else 'least call'}, "
        f"{benchmark['num_threads']} thread(s) on {cpu}; all measured in turns in one run. Compare the ratios, not the "
        "figures, with your machine."
    )
    table = [_table(("", *_ROLES), rows)] if any(any(row[1:]) for row in rows) else []
    contended = benchmark.get("num_contended_blocks", 0)
    warning = [f"Other processes used the CPU during {contended} of the measured blocks."] if contended else []
    return _section("Latency", [*map(as_text, sentences), conditions, *warning, *table])


def _latency_cell(entry: Mapping[str, Any] | None, quiet: bool) -> str:
    """Times of the clock where nothing falsified them, else CPU time."""
    if entry is None:
        return ""
    if quiet:
        return f"{entry['p50_ms']:.2f} ({entry['p95_ms']:.2f})"
    return f"{entry['cpu_ms']:.2f}" if entry.get("cpu_ms") is not None else ""


def _search(facts: CardFacts) -> str:
    parts = [as_text(facts.certificate)] if facts.certificate else []
    if facts.plot:
        parts.append(f"![Size, error and cost of every trained candidate, and the winner]({quote(facts.plot)})")
    named = [("extracted" if index == 0 else "runner-up", item) for index, item in enumerate(facts.candidates)]
    if named and facts.maximum_point:
        named.append(("maximum point T", facts.maximum_point))
    axes = list(dict.fromkeys(axis for _, candidate in named for axis in candidate.architecture))
    rows = [
        (
            name,
            *(str(candidate.architecture.get(axis, "")) for axis in axes),
            _number(candidate.parameter_size),
            _number(candidate.inference_cost),
            _short(candidate.error),
            _short(candidate.w),
        )
        for name, candidate in named
    ]
    if rows:
        parts.append(_table(("", *axes, "parameter size", "inference cost", "error", facts.score_name), rows))
    return _section("Architecture search", parts)


def _carbon(carbon: Carbon | None) -> str:
    if carbon is None:
        return ""
    where = ", ".join(as_text(part) for part in (carbon.hardware, carbon.location) if part)
    told = f"{carbon.grams:.3g} g of CO2 equivalents, estimated by {as_text(carbon.source)}"
    return _section("Emissions", [f"{told} ({where})." if where else f"{told}."])


def _emissions(carbon: Carbon | None) -> dict[str, Any] | None:
    if carbon is None:
        return None
    found = {
        "emissions": carbon.grams,
        "source": _line(carbon.source),
        "training_type": "fine-tuning",
        "geographical_location": _optional_line(carbon.location),
        "hardware_used": _optional_line(carbon.hardware),
    }
    return {name: value for name, value in found.items() if value is not None}


def _versions(versions: Mapping[str, str]) -> str:
    named = ", ".join(f"{as_text(name)} {as_text(version)}" for name, version in versions.items())
    return _section("Made with", [named] if named else [])


def _section(title: str, parts: Sequence[str]) -> str:
    return "\n\n".join([f"## {title}", *parts]) if parts else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    first, *others = ([as_text(cell) for cell in line] for line in (header, *rows))
    lines = [first, ["---", *["---:"] * (len(header) - 1)], *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(value: str) -> str:
    """Text on one line, for the metadata; halves of surrogate pairs, which no file can hold, are escaped."""
    return " ".join(value.split()).encode(errors="backslashreplace").decode()


def _optional_line(value: str | None) -> str | None:
    return None if value is None else _line(value)


def _web_address(value: str | None) -> str | None:
    """An address on the web or a file of the repository; anything else is left out."""
    if value is None or urlsplit(value).scheme not in ("", "http", "https"):
        return None
    return _line(value)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) and value < _LARGE else f"{value:,.0f}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _scaled(value: float | None, factor: float) -> str:
    return "" if value is None else f"{value * factor:.1f}"


def _format_name(kind: str) -> str:
    return _FORMAT_NAMES.get(kind, kind)
