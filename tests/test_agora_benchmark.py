"""The five ways are compared fairly, and their benchmark goes on where it stopped; on a tiny teacher and tiny rows."""

import argparse
import sys
from collections import Counter
from importlib import util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch
from transformers import BertForSequenceClassification

from optimum_ose import Architecture
from optimum_ose.journal import Journal
from themes import theme_table

ROOT = Path(__file__).parents[1]
TINY = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
NUM_STEPS = 6


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = util.spec_from_file_location("script_agora", ROOT / "benchmarks" / "agora.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ways(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = sys.modules["five_ways"]
    monkeypatch.setattr(module, "STUDENT", TINY)
    return module


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    table = theme_table(200, seed=3)
    return {"train": table[:140], "test": table[140:]}


def test_scarce_rows_are_as_many_as_asked_for(ways: ModuleType, tables: dict[str, pd.DataFrame]) -> None:
    splits = ways.scarce_splits(tables["train"], tables["test"], per_class=4, num_rows=0, seed=0)
    assert Counter(splits.train["label"]) == Counter(splits.validation["label"]) == {0: 4, 1: 4, 2: 4}
    assert len(splits.test) == 60
    one_table = ways.scarce_splits(tables["train"], None, per_class=None, num_rows=30, seed=0)
    assert [len(rows) for rows in (one_table.train, one_table.validation, one_table.test)] == [30, 30, 80]
    texts = [*one_table.train["text"], *one_table.validation["text"], *one_table.test["text"]]
    assert len(set(texts)) == 140


def test_every_class_has_a_training_row_however_rare(ways: ModuleType, tables: dict[str, pd.DataFrame]) -> None:
    train = tables["train"].copy()
    is_rare = train["label"] == "tools"
    rare = pd.concat([train[~is_rare], train[is_rare].head(4)])
    for seed in range(5):
        splits = ways.scarce_splits(rare, tables["test"], per_class=None, num_rows=12, seed=seed)
        assert set(splits.train["label"]) == {0, 1, 2}
        assert len(splits.validation) == 12


def test_the_teacher_sees_no_row_that_is_put_aside(ways: ModuleType, tables: dict[str, pd.DataFrame]) -> None:
    table = tables["train"]
    owned, aside = ways.set_aside(table)
    assert sorted([*owned["text"], *aside["text"]]) == sorted(table["text"])
    assert Counter(aside["label"]) == dict.fromkeys(table["label"].unique(), ways.MIN_ASIDE)
    assert ways.set_aside(table)[1].equals(aside)


@pytest.mark.filterwarnings("ignore:'pin_memory' argument")
def test_every_way_gets_as_many_steps_and_no_more_rows(
    ways: ModuleType, tables: dict[str, pd.DataFrame], teacher_folder: Path
) -> None:
    splits = ways.scarce_splits(tables["train"], tables["test"], per_class=8, num_rows=0, seed=0)
    setting = ways.prepare(splits, teacher_folder, seed=0, num_steps=NUM_STEPS)
    sizes: list[int] = []

    def count(module: torch.nn.Module, args: object, kwargs: dict[str, torch.Tensor], output: object) -> None:
        if isinstance(module, BertForSequenceClassification) and torch.is_grad_enabled():
            sizes.append(len(kwargs["input_ids"]))

    handle = torch.nn.modules.module.register_module_forward_hook(count, with_kwargs=True)
    seen, found = {}, {}
    try:
        for name, outcome in ways.five_ways(setting):
            seen[name], found[name] = list(sizes), outcome
            sizes.clear()
    finally:
        handle.remove()
    assert len(found) == 7
    assert all(0 <= outcome.test <= 1 for outcome in found.values())
    assert {len(of_way) for of_way in seen.values()} == {NUM_STEPS}
    assert all(max(of_way) <= ways.BATCH_SIZE for of_way in seen.values())
    assert found["agora"].num_added == found["replacement"].num_added > 0


@pytest.mark.filterwarnings("ignore:'pin_memory' argument")
def test_a_stopped_benchmark_goes_on_after_the_last_finished_way(
    benchmark: ModuleType,
    ways: ModuleType,
    tables: dict[str, pd.DataFrame],
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark, "tables", lambda folder: tables)
    (tmp_path / "trec6").symlink_to(teacher_folder)
    options = argparse.Namespace(data=tmp_path, output=tmp_path, steps=2)
    monkeypatch.setitem(benchmark.SETTINGS, "trec6-100", ("trec6", 4, 0))
    whole = Journal(tmp_path / "whole.jsonl", question={})
    benchmark._run("trec6-100", 0, options, whole)
    assert [entry["way"] for entry in whole] == ["teacher", "agora", *benchmark.WAYS[:-1]]
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[:4]))
    resumed = Journal(tmp_path / "cut.jsonl", question={})
    benchmark._run("trec6-100", 0, options, resumed)
    assert (tmp_path / "cut.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    capsys.readouterr()
    benchmark._print(list(whole))
    assert "Agora is best on" in capsys.readouterr().out


def test_the_five_ways_are_drawn(ways: ModuleType, tmp_path: Path) -> None:
    ways.draw(
        {name: ways.Outcome(dev=0.5, test=0.25) for name in ("agora", "distillation")}, 0.9, tmp_path / "ways.png"
    )
    assert (tmp_path / "ways.png").read_bytes().startswith(b"\x89PNG")
