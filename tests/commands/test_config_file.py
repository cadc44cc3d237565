"""The file of --config is read as what it says, or refused with one short message."""

import math
import time
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.commands.config_file import read_config
from optimum_ose.exceptions import InvalidConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5E5", 5e5),
        ("1.e3", 1e3),
        ("-1e3", -1e3),
        (".5", 0.5),
        ("1.5e-3", 1.5e-3),
        ("+1_000", 1000),
        ("010", 10),
        ("0x10", 16),
        ("0o17", 15),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1e-4'", "1e-4"),
        ("1e", "1e"),
        ("v1.5", "v1.5"),
        ("-.inf", -math.inf),
        ("[1e-4, a]", [1e-4, "a"]),
        ("{a: {b: 1e3}}", {"a": {"b": 1e3}}),
    ],
)
def test_values_are_read_as_the_core_schema_of_yaml_says(tmp_path: Path, text: str, value: Any) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"student_arguments: {{learning_rate: {text}}}\n")
    found = read_config(path)["student_arguments"]["learning_rate"]
    assert found == value
    assert type(found) is type(value)


BOMB = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
REFUSED = {
    "a bomb of aliases": (BOMB, "more than 20,000 values"),
    "a list that holds itself": ("a: &a [*a]\n", "nested more than 32 levels"),
    "lists nested 2000 deep": ("a: " + "[" * 2000 + "]" * 2000, "nested more than 32 levels"),
    "lists nested 40 deep": ("a: " + "[" * 40 + "]" * 40, "nested more than 32 levels"),
    "a name that is set twice": ("search: {}\nsearch: {}\n", "line 2, column 1: 'search' is set twice"),
    "a number as a name": ("1: a\nb: c\n", "the name of a setting must be text"),
    "no name at all": ("~: a\n", "the name of a setting must be text"),
    "a list as a name": ("? [1, 2]\n: 3\n", "the name of a setting must be text"),
    "a list": ("- 1\n- 2\n", "mapping of settings; .* holds \\[1, 2\\]"),
    "text": ("search", "holds 'search'"),
    "tabs": ("search:\n\tepsilon: 0.1\n", "line 2, column 1: found character"),
    "an open bracket": ("search: {epsilon: 0.1\n", "line 2, column 1"),
    "an object of Python": ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    "two documents": ("a: 1\n---\nb: 2\n", "but found another document"),
    "a number of 5000 digits": ("a: " + "9" * 5000, "thousands of digits; write it as a text"),
    "an unknown alias": ("a: *b\n", "undefined alias"),
    "control characters": ("a: \x00\x01", "not allowed"),
    "more than a MiB": ("# " + "x" * (1 << 20), "more than 1,048,576 bytes"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_no_config_is_refused_shortly_and_quickly(tmp_path: Path, kind: str) -> None:
    text, told = REFUSED[kind]
    path = tmp_path / "c.yaml"
    path.write_text(text)
    before = time.process_time()
    with pytest.raises(InvalidConfigError, match=rf"--config must .*{told}") as caught:
        read_config(path)
    assert time.process_time() - before < 5
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"search": {} // a comment\n}', "Expecting"),
        ('{"search": {}, "search": {}}', "'search' is set twice"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested more than 32 levels"),
        ("[1]", r"holds \[1\]"),
        ('{"a": ' + "9" * 5000 + "}", "thousands of digits; write it as a text"),
        ("{'search': {}}", "Expecting property name"),
    ],
)
def test_json_that_is_no_config_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(InvalidConfigError, match=rf"--config must .*{told}"):
        read_config(path)


def test_json_with_tabs_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('\ufeff{\n\t"search": {"epsilon": 1e-1}}')
    assert read_config(path) == {"search": {"epsilon": 0.1}}


def test_an_empty_file_holds_no_settings(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.json"):
        (tmp_path / name).write_text("\n")
        assert read_config(tmp_path / name) == {}


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    for name, told in {"binary.yaml": "not text in UTF-8", "none.yaml": "No such file", ".": "a folder"}.items():
        with pytest.raises(InvalidConfigError, match=f"--config must name a yaml or json file; .*{told}"):
            read_config(tmp_path / name)
    with pytest.raises(InvalidConfigError, match="a device"):
        read_config(Path("/dev/zero"))


def test_merged_mappings_and_small_aliases_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("teacher_arguments: &a {seed: 1, bf16: true}\nstudent_arguments: {<<: *a, seed: 2}\n")
    assert read_config(path)["student_arguments"] == {"seed": 2, "bf16": True}
