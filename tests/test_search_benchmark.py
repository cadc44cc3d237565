import csv
import itertools
import sys

import families
import instances
import methods
import numpy as np
import pytest
import search
import summary


@pytest.fixture
def table():
    return families.synthetic_table("bort", "power law", 3)


@pytest.mark.parametrize(("space", "family"), [*itertools.product(families.SPACES, families.FAMILIES)])
def test_a_family_is_monotone_where_it_says_so(space, family):
    rises = 0
    for seed in range(3):
        table = families.synthetic_table(space, family, seed)
        assert (table.error > 0).all()
        assert (table.savings >= 0).all()
        for row in range(0, len(table.error), 7):
            smaller = (table.values <= table.values[row]).all(axis=1)
            rises += int(np.count_nonzero(table.error[smaller] < table.error[row] * (1 - 1e-12)))
    assert (rises == 0) == (family in families.MONOTONE)


def test_every_training_of_a_candidate_returns_the_same_error_to_all_methods(table):
    one, other = (instances.Draws(table, 0.1, 5) for _ in range(2))
    forward = {row: [one.train(row) for _ in range(70)] for row in (4, 9)}
    backward = {row: [other.train(row) for _ in range(70)] for row in (9, 4)}
    assert forward == backward
    assert len(set(forward[4])) == 70
    assert one.count == 140


def test_without_noise_the_errors_are_the_truth_and_exhaustive_search_has_no_regret(table):
    draws = instances.Draws(table, 0.0, 0)
    assert draws.train(17) == table.error[17]
    assert table.ratios[methods.find("exhaustive", table, [10**9], noise=0.0, seed=0)[10**9].row] == 1


def test_the_size_rule_trains_only_what_is_largest_under_some_budget(table):
    draws = instances.Draws(table, 0.0, 0)
    found = methods.size_rule(draws, 9)
    assert found.evaluations == found.trained == 9
    for row in draws.errors:
        cheaper = table.inference_cost <= table.inference_cost[row]
        assert table.size[cheaper].max() == table.size[row]


@pytest.mark.parametrize("method", ["certified", "size rule", "stride", "random"])
def test_no_method_exceeds_its_budget(table, method):
    for budget, found in methods.find(method, table, [12, 24], noise=0.02, seed=1).items():
        assert 1 < found.evaluations <= budget


def test_an_endless_method_with_two_budgets_finds_what_two_runs_find(table):
    both = methods.find("random", table, [5, 20], noise=0.05, seed=2)
    assert both == {budget: methods.find("random", table, [budget], noise=0.05, seed=2)[budget] for budget in (5, 20)}


def row(method, regret, **changes):
    fields = {"space": "a", "family": "b", "noise": "0.02", "seed": "0", "budget": "12", "ratio": "0", "assumption": ""}
    fields |= {"evaluations": "12", "trained": "12", "candidates": "300", "monotone": "1"}
    return fields | {"method": method, "regret": str(regret)} | changes


@pytest.mark.parametrize(
    ("rows", "is_broken"),
    [
        ([row("certified", 0.01), row("tpe", 0.02)], False),
        ([row("certified", 0.02), row("tpe", 0.01)], True),
        ([row("certified", 0.0004), row("tpe", 0.0)], False),
        ([row("certified", 0.01), row("tpe", 0.02), row("stride", 0.005)], True),
        ([row("certified", 0.04, ratio="0.95", assumption="surrogate")], False),
        ([row("certified", 0.06, ratio="0.95", assumption="surrogate")], True),
        ([row("certified", 0.06, ratio="0.95", assumption="surrogate", monotone="0")], True),
        ([row("certified", 0.06, ratio="0.93", assumption="surrogate", monotone="0")], False),
        ([row("certified to its end", 0.0, budget="all", trained="24")], False),
        ([row("certified to its end", 0.0, budget="all", trained="25")], True),
    ],
)
def test_a_broken_promise_is_the_exit_code(rows, is_broken, capsys):
    assert summary.summarize(rows) == is_broken
    assert ("BROKEN" in capsys.readouterr().out) == is_broken


def test_what_stands_in_the_output_is_not_run_again(tmp_path, monkeypatch, capsys):
    output = tmp_path / "search.csv"
    monkeypatch.delenv("OSE_DATA", raising=False)
    monkeypatch.setattr(search, "FAMILIES", ("power law",))
    command = ["search.py", "--methods", "stride,random", "--noises", "0.02", "--output", str(output), "--seeds"]
    monkeypatch.setattr(sys, "argv", [*command, "1"])
    assert search.main() == 0
    assert "trained networks are left out" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "2"])
    ran = []
    monkeypatch.setattr(search, "find", lambda method, *rest, seed, **named: ran.append((method, seed)) or {})
    search.main()
    assert sorted(set(ran)) == [("random", 1), ("stride", 1)]
    with output.open() as file:
        assert {entry["seed"] for entry in csv.DictReader(file)} == {"0"}


def test_without_optuna_the_script_says_what_to_do(monkeypatch):
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        SystemExit, match=r"methods tpe are optuna's; it is not installed; run pip install 'optimum-ose"
    ):
        search._require_optuna(["certified", "tpe"])
    search._require_optuna(["certified", "random"])
