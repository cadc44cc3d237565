"""Rules for the YAML head of a model card, a selection of the Hub's as we remember them: it cannot be asked here."""

import re
from typing import Any

import yaml

LICENSES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "bsd-3-clause", "other", "unknown"}
REPOSITORY = r"[\w.-]+(/[\w.-]+)?"
STRING_LISTS = ("tags", "datasets", "language")


def card_faults(text: str) -> list[str]:
    """What the Hub would refuse."""
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    data = yaml.safe_load(head[1]) if head else None
    if not isinstance(data, dict):
        return ["the card must open with a YAML mapping"]
    faults = [f'"{name}" must be a list of strings' for name in STRING_LISTS if not _strings(data.get(name, []))]
    if data.get("license", "unknown") not in LICENSES:
        faults.append('"license" must be one of the known ones')
    for name, value in (
        ("base_model", data.get("base_model", "x")),
        *(("datasets", x) for x in data.get("datasets", [])),
    ):
        if not re.fullmatch(REPOSITORY, str(value)):
            faults.append(f'"{name}" must name a repository')
    if not re.fullmatch(r"[a-z]+(-[a-z]+)*", str(data.get("pipeline_tag", "x"))):
        faults.append('"pipeline_tag" must be a task')
    carbon = data.get("co2_eq_emissions", 0)
    if not isinstance(carbon.get("emissions") if isinstance(carbon, dict) else carbon, int | float):
        faults.append('"co2_eq_emissions.emissions" must be a number')
    for model in data.get("model-index", []):
        faults += _index_faults(model)
    return faults


def _index_faults(model: dict[str, Any]) -> list[str]:
    faults = [] if isinstance(model.get("name"), str) else ['"model-index[].name" is required']
    for result in model.get("results", []):
        paths = [("task", "type"), ("dataset", "type"), ("dataset", "name")]
        faults += [f'"{a}.{b}" is required' for a, b in paths if not isinstance(result.get(a, {}).get(b), str)]
        metrics = result.get("metrics") or [{}]
        faults += ['"metrics[].type" is required' for metric in metrics if not isinstance(metric.get("type"), str)]
        faults += ['"metrics[].value" is required' for metric in metrics if "value" not in metric]
    return faults


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
