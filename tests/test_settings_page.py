"""The reference page of settings has every field of every config record."""

import dataclasses
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from optimum_ose.configuration import OSEConfig

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    found = importlib.util.spec_from_file_location("settings_hook", DOCS / "hooks" / "settings.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def records(kind: type) -> set[type]:
    """A config record and those inside it, by their defaults."""
    made = kind()
    inner = {type(getattr(made, field.name)) for field in dataclasses.fields(kind)}
    return {kind}.union(*(records(item) for item in inner if dataclasses.is_dataclass(item)))


def test_every_field_of_every_record_is_on_the_page(hook: ModuleType) -> None:
    page = hook.on_page_markdown((DOCS / "reference" / "settings.md").read_text(encoding="utf-8"), page=None)
    kinds = records(OSEConfig)
    assert len(kinds) == 7
    for kind in kinds:
        section = page.split(f"## {kind.__name__}\n")[1].split("\n## ")[0]
        for field in dataclasses.fields(kind):
            assert f"\n| `{field.name}` | " in section


def test_pages_without_the_mark_stay_as_they_are(hook: ModuleType) -> None:
    page = (DOCS / "faq.md").read_text(encoding="utf-8")
    assert hook.on_page_markdown(page, page=None) == page
