"""The main job from the command line: everything in one folder, resumable after any kill, and plain about mistakes."""

import errno
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import yaml
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from optimum_ose.artifact import OSEArtifact
from optimum_ose.serialization import canonical_line
from optimum_ose.serving import OnnxPipeline
from runs import SETTINGS, Arguments, refused, run
from themes import THEMES, theme_table

LAYOUT = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "README.md",
    "onnx/model.onnx",
    "onnx/model_quantized.onnx",
    "ose/search.json",
    "ose/journal.jsonl",
    "ose/benchmark.json",
    "ose/pareto.png",
    "ose/report.html",
    "ose/environment.json",
]


def test_the_folder_is_complete(finished: Path) -> None:
    assert [name for name in LAYOUT if not (finished / name).is_file()] == []
    assert not [path for path in finished.rglob("*") if path.suffix in {".pt", ".pkl"} or path.name.endswith(".bin")]


def test_the_folder_loads_as_a_plain_model_and_answers_like_its_onnx_file(finished: Path, data_folder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(finished).eval()
    tokenizer = AutoTokenizer.from_pretrained(finished)
    texts = pd.read_csv(data_folder / "test.csv")["text"].to_list()
    logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    answers = OnnxPipeline.from_pretrained(finished, file_name="onnx/model.onnx")(texts)
    assert [answer["label"] for answer in answers] == [model.config.id2label[int(i)] for i in logits.argmax(-1)]
    assert set(model.config.id2label.values()) == set(THEMES)


def test_the_records_tell_what_happened(finished: Path) -> None:
    search = json.loads((finished / "ose" / "search.json").read_text())
    benchmark = json.loads((finished / "ose" / "benchmark.json").read_text())
    config = json.loads((finished / "config.json").read_text())
    assert {axis: config[axis] for axis in search["winner"]["architecture"]} == search["winner"]["architecture"]
    assert len(search["evaluations"]) == 5
    assert len((finished / "ose" / "journal.jsonl").read_text().splitlines()) == 6
    assert set(benchmark["scores"]["student"]) == {"pytorch-fp32", "onnx-fp32", "onnx-int8"}
    assert set(benchmark["scores"]["teacher"]) == {"pytorch-fp32", "onnx-fp32", "onnx-int8"}
    counted = sum(p.numel() for p in AutoModelForSequenceClassification.from_pretrained(finished).parameters())
    assert benchmark["sizes"]["student"]["parameters"] == counted
    card = (finished / "README.md").read_text()
    assert search["certificate"]["statement"] in card
    assert "The teacher was fine-tuned here first (accuracy " in card
    told = re.search(r"On the development rows it has accuracy (\S+); always answering the most .* has (\S+)\.", card)
    assert told is not None
    assert float(told[1]) > float(told[2].rstrip("."))
    assert told[0] in html.unescape((finished / "ose/report.html").read_text())
    assert f"The search trained {search['certificate']['num_trained']} of " in card
    assert "(ose/pareto.png)" in card
    assert re.search(r"Data: \w+ \(\d+ train, \d+ validation, 60 test rows\)\.", card)


def test_no_path_of_this_machine_is_published(finished: Path, headless_folder: Path, data_folder: Path) -> None:
    for name in LAYOUT:
        content = (finished / name).read_bytes()
        for path in (finished.parent, headless_folder, data_folder):
            assert str(path).encode() not in content, name


def test_a_teacher_without_a_head_is_kept_in_the_folder(finished: Path) -> None:
    teacher = AutoModelForSequenceClassification.from_pretrained(finished / "teacher")
    assert set(teacher.config.id2label.values()) == set(THEMES)
    assert len(AutoTokenizer.from_pretrained(finished / "teacher")) > 20


def test_a_finished_run_is_not_done_again(
    finished: Path, arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    run(monkeypatch, arguments(finished))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before
    printed = capsys.readouterr().out
    assert "parameters without embeddings" in printed
    assert "latency p95, ONNX int8" in printed
    assert printed.count("labeled ") == 3


def test_the_same_seed_gives_the_same_search_bytes_and_weights(
    finished: Path, arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, arguments(tmp_path / "again", verb="extract"))
    for verb in ("distill", "finetune", "export"):
        run(monkeypatch, [verb, "--output", str(tmp_path / "again")])
    for name in ("ose/search.json", "model.safetensors", "onnx/model.onnx"):
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes(), name


KILLED_WHEN = {
    "the teacher is half trained": lambda folder: (folder / "checkpoints" / "teacher").is_dir(),
    "the search has begun": lambda folder: (folder / "ose" / "journal.jsonl").is_file(),
    "some candidates are trained": lambda folder: num_lines(folder / "ose" / "journal.jsonl") >= 3,
    "the student is half distilled": lambda folder: bool(list((folder / "checkpoints").glob("distill/step-*"))),
    "the student is half fine-tuned": lambda folder: (folder / "checkpoints" / "finetune").is_dir(),
}


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def killed_when(words: list[str], condition: Callable[[], bool], with_signal: int) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", "optimum_ose", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell lets what it starts in the background ignore SIGINT, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not condition():
        pass
    process.send_signal(with_signal)
    return process.wait()


@pytest.mark.slow
def test_killed_five_times_it_ends_with_the_same_bytes(
    finished: Path, arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    for holds in KILLED_WHEN.values():
        assert killed_when(arguments(output), partial(holds, output), signal.SIGKILL) == -signal.SIGKILL
    run(monkeypatch, arguments(output))
    for name in ("ose/search.json", "model.safetensors"):
        assert (output / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_its_code_and_keeps_what_was_finished(
    arguments: Arguments, teacher_folder: Path, tmp_path: Path, number: int, code: int
) -> None:
    output = tmp_path / "out"
    journal = output / "ose" / "journal.jsonl"
    settings = tmp_path / "long.yaml"
    slow_search = {**SETTINGS["search"], "max_training_steps": 200}
    settings.write_text(yaml.safe_dump({**SETTINGS, "search": slow_search}))
    words = arguments(output, verb="extract", model=teacher_folder, config=settings)
    assert killed_when(words, lambda: num_lines(journal) >= 3, number) == code
    assert num_lines(journal) >= 3
    assert json.loads((output / "ose" / "run.json").read_text())["stages"].keys() == {"teacher"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 1.5}, r"epsilon must lie in the open interval \(0, 1\); got 1.5"),
        ({"dataset": "nowhere.csv"}, "nowhere.csv does not exist"),
        ({"text_column": "body"}, "must have a text column named 'body'"),
        ({"model": "nowhere/nothing"}, "there is no folder 'nowhere/nothing'"),
        ({"task": "depth-estimation"}, "task must be one of .*text-classification"),
        ({"max_parameters": 10}, "smallest"),
        ({"config": "nowhere.yaml"}, "--config must name a yaml or json file"),
    ],
)
def test_a_users_mistake_ends_with_code_2_and_a_plain_message(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    message: str,
) -> None:
    import re

    words = arguments(tmp_path / "out", **{"model": teacher_folder, **changes})
    assert re.search(message, refused(monkeypatch, capsys, words))


def test_a_teacher_of_other_classes_is_refused(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = pd.DataFrame({"text": [f"row {n}" for n in range(60)], "label": ["x", "y"] * 30})
    table.to_csv(tmp_path / "rows.csv", index=False)
    words = arguments(tmp_path / "out", model=teacher_folder, dataset=tmp_path / "rows.csv")
    assert "classes of the data must be those of the teacher's head" in refused(monkeypatch, capsys, words)


def test_an_unknown_model_type_is_refused(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(teacher_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "perceptron-9000"}))
    printed = refused(monkeypatch, capsys, arguments(tmp_path / "out", model=folder))
    assert "must be one that this transformers version knows" in printed


def test_a_model_without_tokenizer_files_is_refused(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(teacher_folder / name, folder)
    assert "tokenizer" in refused(monkeypatch, capsys, arguments(tmp_path / "out", model=folder))


def test_a_foreign_folder_is_not_touched(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    printed = refused(monkeypatch, capsys, arguments(output, model=teacher_folder))
    assert "must be empty or written by optimum-ose; it holds thesis.tex" in printed
    assert [path.name for path in output.iterdir()] == ["thesis.tex"]


def test_an_output_that_cannot_be_written_is_refused(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    printed = refused(monkeypatch, capsys, arguments(tmp_path / "file" / "out", model=teacher_folder))
    assert "must be writable" in printed


def test_another_question_in_the_same_folder_is_refused(
    finished: Path,
    arguments: Arguments,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = refused(monkeypatch, capsys, arguments(finished, epsilon=0.3))
    assert "answers another one: config differ" in printed


def test_a_second_search_takes_over_what_the_first_has_trained(
    finished: Path, arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = json.loads((finished / "ose" / "search.json").read_text())["pareto_front"]
    bound = int(max(entry["objectives"]["parameter_size"] for entry in front)) - 1
    changes = {"verb": "extract", "model": finished / "teacher", "max_parameters": bound, "objective": "error"}
    run(monkeypatch, arguments(tmp_path / "second", **changes, search_from=finished))
    run(monkeypatch, arguments(tmp_path / "alone", **changes))
    known = (finished / "ose" / "journal.jsonl").read_bytes()
    assert (tmp_path / "second" / "ose" / "journal.jsonl").read_bytes().startswith(known)
    found = (tmp_path / "second" / "ose" / "search.json").read_bytes()
    assert found == (tmp_path / "alone" / "ose" / "search.json").read_bytes()
    assert json.loads(found)["winner"]["objectives"]["parameter_size"] <= bound


def test_text_without_labels_teaches_and_is_told_of(
    finished: Path, arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(theme_table(300, seed=5)["text"]))
    run(monkeypatch, arguments(tmp_path / "out", model=finished / "teacher", unlabeled=texts))
    assert (tmp_path / "out" / "model.safetensors").read_bytes() != (finished / "model.safetensors").read_bytes()
    assert re.search(r"\d+ unlabeled", (tmp_path / "out" / "README.md").read_text())


def test_an_earlier_search_of_another_teacher_or_of_none_is_refused(
    finished: Path,
    arguments: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    teacher_folder: Path,
) -> None:
    other = arguments(tmp_path / "other", verb="extract", model=teacher_folder, search_from=finished)
    assert "answers another one: model, train differ" in refused(monkeypatch, capsys, other)
    nothing = arguments(tmp_path / "nothing", verb="extract", model=teacher_folder, search_from=tmp_path)
    assert "must be a folder written by optimum-ose" in refused(monkeypatch, capsys, nothing)


def test_an_earlier_search_with_another_recipe_is_refused(
    finished: Path,
    arguments: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(finished, earlier)
    header, entries = (earlier / "ose" / "journal.jsonl").read_text().split("\n", maxsplit=1)
    question = json.loads(header)["question"]
    question["recipe"]["temperature"] += 1
    (earlier / "ose" / "journal.jsonl").write_text(canonical_line({"question": question}) + "\n" + entries)
    again = arguments(tmp_path / "again", verb="extract", model=finished / "teacher", search_from=earlier)
    assert "answers another one: recipe differ" in refused(monkeypatch, capsys, again)


def test_a_stage_before_its_time_is_refused(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(monkeypatch, arguments(tmp_path / "out", verb="extract", model=teacher_folder))
    printed = refused(monkeypatch, capsys, ["finetune", "--output", str(tmp_path / "out")])
    assert "needs the stage 'distill' to be finished" in printed
    assert "must be a folder written by optimum-ose" in refused(
        monkeypatch, capsys, ["distill", "--output", str(tmp_path)]
    )


def test_a_full_disk_ends_with_code_2_and_the_same_command_goes_on(
    arguments: Arguments,
    teacher_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = arguments(tmp_path / "out", verb="extract", model=teacher_folder)
    really, journal = os.fsync, tmp_path / "out" / "ose" / "journal.jsonl"

    def full(descriptor: int) -> None:
        if num_lines(journal) >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert "No space left on device" in refused(patched, capsys, words)
    assert num_lines(journal) == 2
    run(monkeypatch, words)
    assert num_lines(journal) == 6


def test_report_and_bench_and_dry_push_work_on_the_finished_folder(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    card = (copy / "README.md").read_text()
    (copy / "README.md").unlink()
    run(monkeypatch, ["report", str(copy)])
    renamed = card.replace("# out\n", "# copy\n").replace("- name: out\n", "- name: copy\n")
    assert (copy / "README.md").read_text() == renamed
    assert "winner" in capsys.readouterr().out
    run(monkeypatch, ["bench", str(copy)])
    measured = capsys.readouterr().out
    for title in ("latency p50", "latency p95", "throughput", "peak memory", "CPU time"):
        assert f"{title}, ONNX int8" in measured
    run(monkeypatch, ["push", str(copy), "me/model", "--dry-run"])
    listed = capsys.readouterr().out.splitlines()[:-1]
    assert set(LAYOUT) - set(listed) == {"ose/report.html"}  # it shows rows of the test split
    assert not [name for name in listed if name.startswith(("teacher", "checkpoints", "ose/run"))]


def test_space_prints_axes_and_verdict(
    teacher_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, ["space", "--model", str(teacher_folder)])
    printed = capsys.readouterr().out
    for part in ("num_hidden_layers: 1, 2, 3", "hidden_size is 8 times num_attention_heads", "|Xi| =", "T: ", "AB^nC"):
        assert part in printed


@pytest.mark.parametrize(
    "verb", ["space", "extract", "distill", "finetune", "export", "run", "bench", "report", "serve", "push", "trim"]
)
def test_every_verb_explains_itself_with_an_example(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, [verb, "--help"])
    assert caught.value.code == 0
    assert f"optimum-cli ose {verb}" in capsys.readouterr().out


def test_optimum_cli_finds_the_command() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("optimum-cli"), "ose", "--help"], capture_output=True, text=True, check=True
    )
    assert "extract" in done.stdout


def test_an_artifact_knows_its_stages(finished: Path) -> None:
    artifact = OSEArtifact.open(finished)
    assert artifact.stage("export") is not None
    assert artifact.stage("nothing") is None


def test_pairs_of_texts_go_the_whole_way(
    arguments: Arguments, headless_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word for theme in THEMES.values() for word in theme]
    pairs = pd.DataFrame(
        [(a, b, "same" if any({a, b} <= set(t) for t in THEMES.values()) else "other") for a in words for b in words],
        columns=["premise", "hypothesis", "label"],
    )
    balanced = pd.concat([rows.sample(100, random_state=0) for _, rows in pairs.groupby("label")])
    balanced.to_json(tmp_path / "pairs.jsonl", orient="records", lines=True)
    output = tmp_path / "out"
    settings = tmp_path / "ose.json"
    settings.write_text(json.dumps({**SETTINGS, "agora": None}))
    run(monkeypatch, arguments(output, dataset=tmp_path / "pairs.jsonl", config=settings))
    model = AutoModelForSequenceClassification.from_pretrained(output).eval()
    inputs = AutoTokenizer.from_pretrained(output)("cat", "dog", return_tensors="pt")
    assert inputs["token_type_ids"].sum() > 0
    answer = OnnxPipeline.from_pretrained(output, file_name="onnx/model.onnx")({"text": "cat", "text_pair": "dog"})
    assert answer["label"] == model.config.id2label[int(model(**inputs).logits.argmax())]
