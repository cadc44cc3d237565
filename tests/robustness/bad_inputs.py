"""Strategies for bad inputs: configurations, command lines, data files, model folders and run folders that are wrong
somewhere. Most of what they draw is wrong; a draw that happens to be valid is fine.
"""

import datetime as dt
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from hypothesis import strategies as st

from optimum_ose.configuration import (
    AgoraConfig,
    DistillationConfig,
    ExportConfig,
    LatencySetting,
    OSEConfig,
    SearchConfig,
)

SECTIONS: Mapping[str, type] = {
    "search": SearchConfig,
    "distillation": DistillationConfig,
    "agora": AgoraConfig,
    "export": ExportConfig,
}
TRAINER_SETTINGS = ("num_train_epochs", "learning_rate", "optim", "lr_scheduler_type", "report_to", "seed", "bf16")
ODD_TEXTS = (
    "",
    " ",
    "x",
    "1e-4",
    "1",
    "nan",
    "None",
    "null",
    "true",
    "\x1b[31m",
    "a\u2028b",
    "ä" * 3,
    "0x10",
    "1_000",
    "\u202e",
)
SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 10**30, -(10**30), 2**31, 2**32, 0.0, 0.5, 1.5, -0.5, 1e-300, 1e300),
    *(math.inf, -math.inf, math.nan, *ODD_TEXTS, dt.date(2026, 1, 1), b"\x00\x01"),
)


def values() -> st.SearchStrategy[Any]:
    """Any value that YAML can hold, mostly of a type that is not wanted."""
    scalars = st.sampled_from(SCALARS)
    return scalars | st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ODD_TEXTS), inner, max_size=3),
        max_leaves=5,
    )


def _field_paths() -> list[tuple[str, ...]]:
    """The path of every field of every section, the sections themselves, and some that do not exist."""
    paths: list[tuple[str, ...]] = [(item.name,) for item in fields(OSEConfig)]
    for section, kind in SECTIONS.items():
        paths += [(section, item.name) for item in fields(kind)]
    paths += [("search", "latency", item.name) for item in fields(LatencySetting)]
    paths += [(part, name) for part in ("teacher_arguments", "student_arguments") for name in TRAINER_SETTINGS]
    return [*paths, ("serach",), ("search", "epsilonn"), ("distillation", "lr"), ("export", "quantisation"), ("",)]


def configurations() -> st.SearchStrategy[dict[Any, Any]]:
    """A configuration in which one to three fields hold a value that was drawn blindly."""
    edits = st.lists(st.tuples(st.sampled_from(_field_paths()), values()), min_size=1, max_size=3)
    return edits.map(_edited)


def _edited(edits: Sequence[tuple[tuple[str, ...], Any]]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for path, value in edits:
        place: Any = made
        for name in path[:-1]:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        place[path[-1]] = value
    return made


def configuration_files() -> st.SearchStrategy[bytes]:
    """Bytes of a YAML or JSON file: a blindly edited configuration, perhaps damaged, or no configuration at all."""
    written = configurations().map(lambda made: yaml.safe_dump(made, allow_unicode=True).encode("utf-8", "replace"))
    texts = st.sampled_from(
        (
            *(
                "",
                "null",
                "[]",
                "3",
                "text",
                "search:\n\t- a",
                "a: &a [x]\nb: *c",
                "search: {epsilon: 0.1",
                "%YAML 9\n",
            ),
            *("search: {epsilon: 0.1, epsilon: 0.2}", "? [a, b]\n: c", "!!python/object:os.system {}", "{1: a, b: c}"),
            *(
                "search: !!set {a, b}",
                "--- a\n--- b\n",
                "search: {epsilon: 0.1}\x00",
                "- " * 3000,
                "[" * 3000,
                "{a: " * 2000,
            ),
            _laughs(),
        )
    ).map(str.encode)
    return written | damaged(written) | texts | st.binary(max_size=40)


def _laughs() -> str:
    """Nine levels of ten aliases each: a billion nodes in a few hundred bytes."""
    lines = ['a0: &a0 ["x"]']
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    return "\n".join([*lines, "student_arguments: {seed: *a9}"])


def damaged(contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The same bytes, cut, with bytes put in or taken out."""
    return st.tuples(contents, st.integers(0, 10**6), st.integers(0, 40), st.binary(max_size=6)).map(_damage)


def _damage(drawn: tuple[bytes, int, int, bytes]) -> bytes:
    content, place, removed, added = drawn
    start = place % (len(content) + 1)
    return content[:start] + added + content[start + removed :]


def flags() -> st.SearchStrategy[list[str]]:
    """Options of `ose run` with values that were drawn blindly."""
    names = (
        *("--epsilon", "--max-parameters", "--max-non-embedding-parameters", "--max-latency-ms", "--max-error"),
        *("--max-evaluations", "--seed", "--objective", "--layer-selection", "--problem-type", "--benchmark-task"),
        *("--task", "--text-column", "--label-column", "--train-split", "--base-model", "--search-from", "--unlabeled"),
        *("--push-to-hub",),
    )
    words = (
        "",
        "x",
        "-1",
        "0",
        "1.5",
        "1e6",
        "nan",
        "inf",
        "9" * 40,
        "bad id!!",
        "\x1b[2J",
        "/",
        "..",
        "a/b/c",
        "1e-4",
    )
    return st.lists(st.tuples(st.sampled_from(names), st.sampled_from(words)), min_size=1, max_size=2).map(
        lambda pairs: [f"{name}={word}" for name, word in pairs]
    )


KINDS = ("csv", "tsv", "json", "jsonl", "parquet", "txt", "conll")
_WORDS = (
    "cat",
    "rice",
    "saw",
    "the",
    "",
    " ",
    "\u2028",
    "a,b",
    'a"b',
    "a;b",
    "a\tb",
    "a\nb",
    "NA",
    "<NA>",
    "None",
    "\x00",
    "# x",
)
_LABELS: tuple[Any, ...] = (
    *("animals", "food", "Food", "food ", "", " ", "007", "7", "1e3", "1.0", "true", "NA", "None", "<NA>", "\x1b[31m"),
    *(None, 0, 1, 2, -1, -100, 1.5, math.nan, math.inf, True, 2**53 + 1, [], ["food"], [0, 1], [1.0, 0.0], {"a": 1}),
    *(dt.datetime(2026, 1, 1), b"x", "x" * 5000),
)


def data_files(kind: str) -> st.SearchStrategy[bytes]:
    """Bytes of a data file: a good table with some odd cells, perhaps damaged, or something else altogether."""
    cells = st.tuples(st.integers(0, 29), st.sampled_from(("text", "label")), st.sampled_from((*_WORDS, *_LABELS)))
    names = st.sampled_from(
        (("text", "label"), ("text", "label"), ("a", "b"), ("text", "text"), ("0", "1"), ("label", ""))
    )
    written = st.tuples(st.lists(cells, max_size=4), names).map(lambda drawn: _table_bytes(kind, *drawn))
    other = st.sampled_from(
        (
            *(
                b"",
                b"\n\n",
                b"\xff\xfe",
                b"\xef\xbb\xbf",
                b"text,label",
                b"[]",
                b"{}",
                b"[1, 2]",
                b"null",
                b"\x00" * 20,
            ),
            *(
                b"PAR1",
                b"PAR1" + bytes(30) + b"PAR1",
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            ),
            *("text,label\na,b\n".encode("utf-16"), b"a" * 70000, b"[" * 20000, b'{"text": 1}\n{"text": [1]}\n'),
        )
    )
    return written | damaged(written) | other


def _table_bytes(kind: str, edits: Sequence[tuple[int, str, Any]], names: tuple[str, str]) -> bytes:
    themes = {"animals": ("cat", "dog", "fox"), "food": ("rice", "jam", "tea"), "tools": ("saw", "axe", "pen")}
    rows: list[dict[str, Any]] = [
        {"text": f"the {word} number {copy}", "label": theme}
        for copy in range(4)
        for theme, words in themes.items()
        for word in words
    ]
    for place, column, value in edits:
        rows[place][column] = value
    return _WRITERS[kind](rows, names)


def _separated(separator: str) -> Callable[[list[dict[str, Any]], tuple[str, str]], bytes]:
    def write(rows: list[dict[str, Any]], names: tuple[str, str]) -> bytes:
        table = pd.DataFrame([[row["text"], row["label"]] for row in rows], columns=list(names), dtype=object)
        try:
            return table.to_csv(index=False, sep=separator).encode("utf-8", "surrogatepass")
        except ValueError:  # a cell that the writer refuses
            return b"text" + separator.encode() + b"label\n"

    return write


def _json_rows(rows: list[dict[str, Any]], names: tuple[str, str]) -> list[str]:
    return [json.dumps({names[0]: row["text"], names[1]: row["label"]}, default=str) for row in rows]


def _parquet(rows: list[dict[str, Any]], names: tuple[str, str]) -> bytes:
    stream = io.BytesIO()
    try:
        unique = names if names[0] != names[1] else ("text", "label")
        pd.DataFrame([[row["text"], row["label"]] for row in rows], columns=list(unique)).to_parquet(stream)
    except (ValueError, TypeError, OverflowError):  # cells that no column type admits together: the text of each
        table = pd.DataFrame([[str(row["text"]), str(row["label"])] for row in rows], columns=["text", "label"])
        table.to_parquet(stream)
    return stream.getvalue()


def _conll(rows: list[dict[str, Any]], _names: tuple[str, str]) -> bytes:
    sentences = ["\n".join(f"{word} {row['label']}" for word in str(row["text"]).split(" ")) for row in rows]
    return "\n\n".join(sentences).encode("utf-8", "surrogatepass")


_WRITERS: Mapping[str, Callable[[list[dict[str, Any]], tuple[str, str]], bytes]] = {
    "csv": _separated(","),
    "tsv": _separated("\t"),
    "json": lambda rows, names: f"[{', '.join(_json_rows(rows, names))}]".encode(),
    "jsonl": lambda rows, names: "\n".join(_json_rows(rows, names)).encode(),
    "parquet": _parquet,
    "txt": lambda rows, _names: "\n".join(f"{row['label']} {row['text']}" for row in rows).encode("utf-8", "replace"),
    "conll": _conll,
}


def json_edits(paths: Sequence[tuple[str, ...]]) -> st.SearchStrategy[Callable[[Path], None]]:
    """Edits of a JSON file: a value at one of the paths replaced by one drawn blindly, removed, or bytes damaged."""
    removal = st.sampled_from(paths).map(lambda path: lambda file: _set_in_json(file, path, _GONE))
    replacement = st.tuples(st.sampled_from(paths), values()).map(
        lambda drawn: lambda file: _set_in_json(file, drawn[0], drawn[1])
    )
    damage = st.tuples(st.integers(0, 10**6), st.integers(0, 60), st.binary(max_size=5)).map(
        lambda drawn: lambda file: file.write_bytes(_damage((file.read_bytes(), *drawn)))
    )
    whole = st.sampled_from((b"", b"{}", b"[]", b"null", b"3", b'{"a": 1}', b"\xff")).map(
        lambda content: lambda file: file.write_bytes(content)
    )
    return removal | replacement | replacement | damage | whole


_GONE = object()


def _set_in_json(file: Path, path: tuple[str, ...], value: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    place: Any = content
    for name in path[:-1]:
        place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            return
    if value is _GONE:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    file.write_text(json.dumps(content, default=str), encoding="utf-8")


def damaged_weights() -> st.SearchStrategy[Callable[[Path], None]]:
    """Damage to a safetensors file: cut, overwritten, emptied, or a pointer of git-lfs in its place."""
    cut = st.integers(0, 4000).map(lambda size: lambda file: file.write_bytes(file.read_bytes()[:size]))
    overwritten = st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)).map(
        lambda drawn: lambda file: file.write_bytes(_damage((file.read_bytes(), drawn[0], len(drawn[1]), drawn[1])))
    )
    other = st.sampled_from(
        (b"", b"x" * 100, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    ).map(lambda content: lambda file: file.write_bytes(content))
    return cut | overwritten | other


def paths_of(record: Any, *, depth: int = 3) -> list[tuple[str, ...]]:
    """The paths of all keys of nested mappings, to a depth."""
    if not isinstance(record, dict) or depth == 0:
        return []
    found: list[tuple[str, ...]] = []
    for name, value in record.items():
        found += [(name,), *((name, *rest) for rest in paths_of(value, depth=depth - 1))]
    return found
