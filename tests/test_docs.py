"""The docs name functions, tests and settings that exist."""

import dataclasses
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

from optimum_ose.serving.protocol import ServerLimits

ROOT = Path(__file__).parents[1]
PAPER_MAP = (ROOT / "docs" / "paper-map.md").read_text(encoding="utf-8")
ROOMS = "core|data|tasks|modeling|distillation|finetuning|export"
NAMED = sorted(set(re.findall(rf"`((?:{ROOMS})(?:\.\w+){{2,3}})`", PAPER_MAP)))


@pytest.mark.parametrize("name", NAMED)
def test_every_function_of_the_paper_map_exists(name: str) -> None:
    assert resolve_name(f"optimum_ose.{name}") is not None


def test_the_paper_map_names_enough_to_be_worth_checking() -> None:
    assert len(NAMED) > 40


def test_every_test_and_benchmark_that_the_docs_name_exists() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
    named = set(re.findall(r"(?:tests|benchmarks|examples)/[\w/]+\.(?:py|yaml|txt)", pages))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_every_room_of_the_architecture_page_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^    (\w+)/ ", page, flags=re.MULTILINE)
    source = ROOT / "src" / "optimum_ose"
    assert sorted(rooms) == sorted(
        path.name for path in source.iterdir() if path.is_dir() and path.name != "__pycache__"
    )


def test_the_serving_page_names_every_limit() -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    table = page[page.index("| limit |") :]
    for field in dataclasses.fields(ServerLimits):
        assert f"`{field.name}`" in table
