"""The public surface is complete, lazy and documented."""

import ast
import inspect
from pathlib import Path

import pytest

import optimum_ose

SOURCE = Path(optimum_ose.__file__).parent
CONTRACT = [
    "derive_search_space",
    "reconfigure",
    "extract",
    "SearchSpace",
    "Architecture",
    "OSEOptimizer",
    "OSEConfig",
    "SearchConfig",
    "DistillationConfig",
    "AgoraConfig",
    "ExportConfig",
    "AgoraDataCollator",
    "AgoraCallback",
    "run_agora",
    "push_to_hub",
]


@pytest.mark.parametrize("name", sorted({*optimum_ose.__all__, *CONTRACT}))
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(optimum_ose, name)
    assert inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = optimum_ose.nothing


def public_definitions() -> list[tuple[str, str]]:
    missing = []
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [(path.name, tree)]
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                nodes.append((node.name, node))
                if isinstance(node, ast.ClassDef):
                    nodes += [
                        (f"{node.name}.{item.name}", item)
                        for item in node.body
                        if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
                    ]
        missing += [(str(path.relative_to(SOURCE)), name) for name, node in nodes if not ast.get_docstring(node)]
    return missing


def test_every_public_definition_has_a_docstring() -> None:
    assert public_definitions() == []
