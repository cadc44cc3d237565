"""Settings of a run: the file, the flags on top, the seeds, and the whole printed as YAML that can be read again."""

import subprocess
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import fields, replace
from pathlib import Path

import pytest

from optimum_ose.commands.arguments import FLAGS, add_run_arguments
from optimum_ose.commands.config_file import read_config
from optimum_ose.commands.request import RunRequest, request_of
from optimum_ose.commands.settings import config_of, seeded, settings_of
from optimum_ose.configuration import AgoraConfig, DistillationConfig, OSEConfig, SearchConfig
from optimum_ose.configuration.describing import commented_yaml, meanings
from optimum_ose.configuration.reading import config_from_dict
from optimum_ose.exceptions import InvalidConfigError, OSEError
from optimum_ose.tasks import task_named, task_names
from runs import refused, run

NEEDED = ["--model", "m", "--dataset", "d", "--output", "o"]


def parsed(*words: str) -> Namespace:
    parser = ArgumentParser()
    add_run_arguments(parser)
    return parser.parse_args(words)


def config_file(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "ose.yaml").write_text(text)
    return ["--config", str(tmp_path / "ose.yaml")]


GIVEN = {
    "epsilon": ("0.25", 0.25),
    "max_parameters": ("1000", 1000),
    "max_non_embedding_parameters": ("900", 900),
    "max_latency_ms": ("1.5", 1.5),
    "max_error": ("2", 2.0),
    "objective": ("w-coefficient", "w-coefficient"),
    "keep": ("none", 0.0),
    "prefer": ("size", "size"),
    "layer_selection": ("block-influence", "block-influence"),
    "max_evaluations": ("7", 7),
    "max_length": ("64", 64),
}


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_wins_over_the_file_and_says_so_in_one_line(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    word, value = GIVEN[name]
    flag, place = f"--{name.replace('_', '-')}", FLAGS[name]
    other = {"objective": "error", "prefer": "w", "layer_selection": "even", "max_length": 32}.get(
        name, 0.5 if "epsilon" in name else 3
    )
    nested = f"search: {{{name}: {other}}}" if place[0] == "search" else f"{name}: {other}"
    in_file = config_file(tmp_path, nested + "\n")
    config = config_from_dict(OSEConfig, settings_of(parsed(*in_file, flag, word)))
    assert getattr(config.search if place[0] == "search" else config, name) == value
    assert [record.getMessage() for record in caplog.records] == [
        f"{flag} {value} wins over {'.'.join(place)}: {other!r} in --config"
    ]
    caplog.clear()
    assert settings_of(parsed(flag, word)) == settings_of(parsed(*config_file(tmp_path, ""), flag, word))
    assert not caplog.records


def test_seeds_of_the_file_count_and_the_flag_wins_over_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    in_file = config_file(
        tmp_path,
        "search: {seed: 7}\ndistillation: {seed: 8}\nagora: {seed: 9}\nteacher_arguments: {seed: 10}\n",
    )
    config = seeded(config_from_dict(OSEConfig, settings_of(parsed(*in_file))), None)
    assert (config.search.seed, config.distillation.seed, config.agora.seed) == (7, 8, 9)
    assert (config.teacher_arguments["seed"], config.student_arguments["seed"]) == (10, 0)
    assert not caplog.records
    config = seeded(config, 3)
    assert (config.search.seed, config.distillation.seed, config.agora.seed) == (3, 3, 3)
    assert (config.teacher_arguments["seed"], config.student_arguments["seed"]) == (3, 3)
    settings_of(parsed(*in_file, "--seed", "3"))
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "--seed 3 wins over search.seed: 7 in --config"
    assert len(told) == 4


def test_without_a_file_every_seed_is_zero_as_with_the_flag_at_zero() -> None:
    assert seeded(OSEConfig(), None) == seeded(OSEConfig(), 0)
    assert seeded(OSEConfig(agora=None), 5).agora is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seed", "-1"], "argument --seed: must be a whole number from 0 to 4294967295; got '-1'"),
        (["--seed", "4294967296"], "--seed: must be a whole number"),
        (["--seed", "9" * 5000], "--seed: must be a whole number"),
        (["--seed", "1.0"], "--seed: must be a whole number"),
        (["--max-parameters", "0"], "--max-parameters: must be a whole number from 1"),
        (["--max-parameters", "1.5"], "--max-parameters: must be a whole number"),
        (["--max-parameters", "1e6"], "--max-parameters: must be a whole number"),
        (["--max-evaluations", "x"], "--max-evaluations: must be a whole number"),
        (["--max-length", "7"], "--max-length: must be a whole number from 8"),
        (["--epsilon", "a"], "--epsilon: must be a number; got 'a'"),
        (["--epsilon", "nan"], "epsilon must lie in the open interval"),
        (["--epsilon", "inf"], "epsilon must lie in the open interval"),
        (["--max-latency-ms", "-1"], "max_latency_ms must be positive"),
        (["--max-latency-ms", "inf"], "max_latency_ms must be at most"),
        (["--model", ""], "--model: must not be empty"),
        (["--dataset", " "], "--dataset: must not be empty"),
        (["--task", ""], "--task: must not be empty"),
        (["--output", ""], "--output: must not be empty"),
        (["--config", ""], "--config: must not be empty"),
        (["--task", "depth-estimation"], "got 'depth-estimation'"),
        (["--push-to-hub", "bad id!!"], "--push-to-hub must be a Hub id such as user/name; got 'bad id!!'"),
        (["--base-model", "/home/me/model"], "--base-model must be a Hub id"),
        (["--objective", "error"], "objective error needs max_parameters"),
        (["--objective", "size"], "argument --objective: invalid choice"),
    ],
)
def test_a_wrong_argument_is_refused_in_few_lines_before_anything_is_read(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = refused(monkeypatch, capsys, ["run", *NEEDED, *words])
    assert told in printed
    assert len(printed.splitlines()) <= 10
    assert len(printed) < 1_500
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["run", "extract"])
def test_missing_arguments_are_named_together(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "missing: --dataset, --output" in refused(monkeypatch, capsys, [verb, "--model", "m"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "search: {epsilom: 0.1}",
            "search.epsilom must be one of the settings of SearchConfig; the nearest",
        ),
        ("search: null", "search must be a mapping"),
        ("search: [1]", "search must be a mapping"),
        ("search: text", "search must be a mapping"),
        ("search: {num_threads: 100000}", "search.num_threads must be at most 1,024"),
        ("distillation: {learning_rate: 1.0e+30}", r"distillation.learning_rate must lie in (0, 1]"),
        ("distillation: {learning_rate: .inf}", r"distillation.learning_rate must lie in (0, 1]"),
        ("max_length: 8.5", "max_length must be a whole number"),
        ("export: {half_weights: no}", "export.half_weights must be true or false; got 'no'"),
        ("schema_version: '1'", "schema_version must be a whole number"),
        ("search: {seed: 4294967296}", "search.seed must be at most 4294967295"),
    ],
)
def test_a_wrong_setting_names_its_file_and_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        settings_of(parsed(*config_file(tmp_path, text), "--epsilon", "0.2"))
    assert str(caught.value).startswith(f"--config {tmp_path / 'ose.yaml'}: ")
    assert told in str(caught.value).replace("4,294,967,295", "4294967295").replace("4.29497e+09", "4294967295")


CHANGED = OSEConfig(
    search=SearchConfig(
        epsilon=0.125,
        axes={"hidden_size": (8, 16)},
        hyperparameters=({"learning_rate": 1e-5, "mixed_precision": "no"},),
        max_latency_ms=2,
    ),
    distillation=DistillationConfig(learning_rate=1e-6, mixed_precision="no", log_with=("tensorboard",)),
    agora=None,
    student_arguments={"save_strategy": "no", "run_name": "2026-01-01", "adam_epsilon": 1e-12, "label_names": None},
    teacher_arguments={"run_name": "1e-4: # yes\n\t\u2028é"},
    max_length=32,
)


@pytest.mark.parametrize("config", [OSEConfig(), CHANGED, replace(CHANGED, agora=AgoraConfig(pool_share=1e-3))])
def test_the_printed_configuration_can_be_read_again(config: OSEConfig, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(commented_yaml(config), encoding="utf-8")
    assert config_from_dict(OSEConfig, read_config(tmp_path / "c.yaml")) == config


def test_print_config_honors_flags_and_file_and_needs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_file = config_file(tmp_path, "search: {max_training_steps: 3}\nmax_length: 64\n")
    words = [*in_file, "--epsilon", "0.3", "--seed", "5"]
    run(monkeypatch, ["run", "--print-config", *words])
    printed = capsys.readouterr().out
    (tmp_path / "again.yaml").write_text(printed)
    again = config_of(parsed("--config", str(tmp_path / "again.yaml")))
    assert again == config_of(parsed(*words))
    assert (again.search.epsilon, again.search.max_training_steps, again.search.seed, again.max_length) == (
        0.3,
        3,
        5,
        64,
    )
    assert "refuse" not in refused(monkeypatch, capsys, ["run", "--print-config", "--epsilon", "3"])


@pytest.mark.parametrize("kind", [OSEConfig, SearchConfig, DistillationConfig, AgoraConfig])
def test_every_setting_has_a_meaning(kind: type) -> None:
    assert set(meanings(kind)) >= {item.name for item in fields(kind)}
    assert all(text.endswith((".", ")")) for text in meanings(kind).values())


def test_the_help_lists_the_tasks_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(task_named(task).auto_class for task in task_names())
    for verb in ("run", "extract"):
        with pytest.raises(SystemExit):
            run(monkeypatch, [verb, "--help"])
        printed = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
        assert all(task in printed for task in task_names())
        assert "validation split" in printed


def test_a_request_of_a_folder_is_checked_as_a_config_is() -> None:
    with pytest.raises(InvalidConfigError, match="seed must be a whole number; got 'x'"):
        config_from_dict(RunRequest, {"model": "m", "dataset": "d", "seed": "x"}, owner="The request in x")
    with pytest.raises(InvalidConfigError, match="model must not be empty"):
        RunRequest(model="", dataset="d")
    assert request_of(parsed(*NEEDED)).seed is None
    assert issubclass(InvalidConfigError, OSEError)


def test_the_help_imports_no_framework() -> None:
    script = (
        "import sys; from optimum_ose.commands.arguments import add_run_arguments; import optimum_ose.configuration; "
        "print(sorted({'torch', 'transformers', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_share_to_keep_is_refused_before_any_work_where_the_method_cannot_show_it(tmp_path: Path) -> None:
    certified = config_file(tmp_path, "search: {method: certified}")
    with pytest.raises(InvalidConfigError, match="keep needs the method elastic"):
        config_of(parsed("--keep", "0.97", *certified))
    with pytest.raises(InvalidConfigError, match=r"search.keep must lie in \[0, 1\]"):
        settings_of(parsed("--keep", "1.2"))
    with pytest.raises(InvalidConfigError, match="prefer needs keep"):
        settings_of(parsed("--prefer", "latency", "--keep", "none"))
    assert settings_of(parsed("--keep", "none")) == {"search": {"keep": 0.0}}
    assert settings_of(parsed("--keep", "0.97", "--prefer", "latency")) == {
        "search": {"keep": 0.97, "prefer": "latency"}
    }


def test_a_word_that_is_no_share_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--keep", "most")
    assert "must be a number or none; got 'most'" in capsys.readouterr().err
