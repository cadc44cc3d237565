"""The house holds: imports go downward only, and importing the package loads nothing heavy."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "optimum_ose"
FLOORS: tuple[tuple[str, ...], ...] = (
    ("wording", "silence"),
    ("exceptions",),
    ("guards", "processes"),
    ("core", "serving"),
    ("configuration", "progress"),
    ("display",),
    ("serialization",),
    ("output_folder", "records"),
    ("journal", "artifact", "preprocessing"),
    ("data",),
    ("tasks",),
    ("modeling",),
    ("vocabulary",),
    ("question",),
    ("distillation", "finetuning"),
    ("elastic",),
    ("export",),
    ("hub",),
    ("report",),
    ("optimizer",),
    ("conversion",),
    ("pipeline",),
    ("commands",),
    ("__main__",),
)
"""From the basement up; a module imports from lower floors, and from its own package."""
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FORBIDDEN = {
    "core": {"torch", "transformers", "accelerate", "datasets", "logging", "time", "random", "os", "pathlib"},
    "serving": {"torch", "transformers", "accelerate", "datasets", "optimum"},
}


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_from_lower_floors_only(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for name in imported_modules(path):
        if name.startswith("optimum_ose."):
            other = name.split(".")[1]
            assert other == room or FLOOR_OF[other] < FLOOR_OF[room], f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_basement_and_service_import_no_framework(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0]
    tops = {name.split(".")[0] for name in imported_modules(path)}
    assert not tops & FORBIDDEN.get(room, set())


def test_serving_knows_nothing_of_ours_but_errors() -> None:
    for path in (SOURCE / "serving").glob("*.py"):
        ours = {name for name in imported_modules(path) if name.startswith("optimum_ose.")}
        known = {"optimum_ose.exceptions", "optimum_ose.silence", "optimum_ose.wording"}
        assert all(name in known or name.startswith("optimum_ose.serving") for name in ours), path


def modules_after(statement: str) -> set[str]:
    script = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_no_framework() -> None:
    loaded = modules_after("import optimum_ose")
    assert not loaded & {"torch", "transformers", "numpy", "datasets", "onnxruntime"}


def test_extract_and_search_space_load_no_framework() -> None:
    loaded = modules_after("from optimum_ose import SearchSpace, Architecture, extract")
    assert not loaded & {"torch", "transformers", "datasets", "onnxruntime", "accelerate"}


def test_registering_the_command_loads_no_framework() -> None:
    loaded = modules_after("from optimum.commands.register.register_ose import REGISTER_COMMANDS")
    assert not loaded & {"torch", "transformers", "datasets", "onnxruntime", "accelerate"}


def test_no_package_folder_of_optimum_has_an_init_file() -> None:
    assert not list((SOURCE.parent / "optimum").rglob("__init__.py"))


def test_no_files_import_each_other_in_a_circle() -> None:
    imported = {
        path: {found for name in imported_modules(path) if (found := file_of(name)) is not None} - {path}
        for path in MODULES
    }
    while free := {path for path, others in imported.items() if not others & imported.keys()}:
        for path in free:
            del imported[path]
    assert not sorted(str(path.relative_to(SOURCE)) for path in imported)


def file_of(module: str) -> Path | None:
    """The file of a module of ours; None for the package itself, whose names are resolved on first use."""
    parts = module.split(".")[1:]
    path = SOURCE.joinpath(*parts)
    if module.split(".")[0] != "optimum_ose" or not parts:
        return None
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
