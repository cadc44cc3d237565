"""A hook of mkdocs: the page of settings is made from the config records."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

from optimum_ose.configuration import (
    AgoraConfig,
    DistillationConfig,
    ExportConfig,
    LatencySetting,
    OSEConfig,
    SearchConfig,
)
from optimum_ose.configuration.describing import meanings
from optimum_ose.configuration.elastic import ElasticSetting
from optimum_ose.configuration.plain_values import as_json

_MARK = "<!-- settings -->"
_RECORDS = {
    OSEConfig: "the whole file",
    SearchConfig: "`search`",
    ElasticSetting: "`search.elastic`",
    LatencySetting: "`search.latency`",
    DistillationConfig: "`distillation`",
    AgoraConfig: "`agora`",
    ExportConfig: "`export`",
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark on the page of settings by a table for each record."""
    if _MARK not in markdown:
        return markdown
    return markdown.replace(_MARK, "\n".join(line for kind in _RECORDS for line in table(kind)))


def table(kind: Any) -> Iterator[str]:
    """The lines of a section: name, default and meaning of each field."""
    yield from ("", f"## {kind.__name__}", "", f"In a settings file: {_RECORDS[kind]}.", "")
    yield from ("| field | default | meaning |", "|---|---|---|")
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        meaning = meanings(kind)[field.name]
        if get_origin(hints[field.name]) is Literal:
            meaning += f" One of {', '.join(f'`{value}`' for value in get_args(hints[field.name]))}."
        yield f"| `{field.name}` | {_default(field)} | {_cell(meaning)} |"


def _default(field: "dataclasses.Field[Any]") -> str:
    value = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    if dataclasses.is_dataclass(value):
        return f"[{type(value).__name__}](#{type(value).__name__.lower()})"
    return f"`{_cell(as_json(value))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
