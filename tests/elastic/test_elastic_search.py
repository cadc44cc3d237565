"""A search by the elastic student: its winner comes with the weights that were measured."""

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from optimum_ose import OSEOptimizer, SearchConfig
from optimum_ose.configuration.elastic import ElasticSetting
from optimum_ose.elastic.measuring import EXCESS_FLOOR, require_measurable, row_measures
from optimum_ose.elastic.state import STATE_FILE
from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.progress import SilentListener
from optimum_ose.tasks.parts.representation import REPRESENTATION
from themes import theme_table

SETTING = ElasticSetting(num_steps=6, batch_size=8, learning_rate=3e-3, checkpoint_steps=2)
SEARCH = SearchConfig(
    method="elastic",
    elastic=SETTING,
    sequence_length=16,
    num_eval_rows=40,
    max_non_embedding_parameters=10**9,
    axes={"hidden_size": (8, 16), "intermediate_size": (16, 32), "num_attention_heads": (1, 2)},
)


def opened(teacher_folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(teacher_folder, max_length=32, listener=SilentListener())


def splits() -> dict[str, Dataset]:
    table = theme_table(120, seed=5)
    rows = Dataset.from_dict({"text": list(table["text"]), "label": list(table["label"])}).class_encode_column("label")
    return {"train_dataset": rows.select(range(80)), "eval_dataset": rows.select(range(80, 120))}


@pytest.mark.parametrize(
    ("method", "weights"),
    [
        ("elastic", "parts of one set of weights, trained together for 6 steps,"),
        (
            "inherited",
            "weights as each inherits them from the teacher, ranked and repaired, without training,",
        ),
    ],
)
def test_the_winner_has_the_weights_that_were_measured(
    method: str, weights: str, teacher_folder: Path, tmp_path: Path
) -> None:
    optimizer = opened(teacher_folder)
    journal = tmp_path / "journal.jsonl"
    search = SearchConfig(**{**vars_of(SEARCH), "method": method})
    result = optimizer.extract(search, **splits(), journal=journal, elastic_folder=tmp_path)
    space = optimizer.search_space(search)
    assert result.certificate.num_evaluations == len(space)
    assert result.certificate.satisfied
    measured = row_measures(entries(journal), num_rows=40)
    assert set(measured.architectures) == set(space)
    student = optimizer.initialize(result)
    rows = optimizer.rows(splits()["eval_dataset"]).shuffle(seed=0)
    answers, found = (
        torch.from_numpy(predict_logits(model, rows, tokenizer=optimizer.tokenizer)).double().log_softmax(-1)
        for model in (optimizer.teacher, student)
    )
    divergence = float((answers.exp() * (answers - found)).sum(-1).mean())
    assert divergence + EXCESS_FLOOR == pytest.approx(result.objectives.error, rel=1e-4)
    assert result.certificate.sample is not None
    assert f"errors of {weights} on 40 rows" in str(result)
    assert (tmp_path / STATE_FILE).is_file() == (method == "elastic")


@pytest.mark.parametrize("axes", [{"hidden_size": (15,)}, {"hidden_size": (5, 7)}, {"hidden_size": (1,)}], ids=str)
def test_widths_that_only_one_head_divides_are_searched_too(
    teacher_folder: Path, tmp_path: Path, axes: dict[str, tuple[int, ...]]
) -> None:
    optimizer = opened(teacher_folder)
    search = SearchConfig(**{**vars_of(SEARCH), "axes": {**axes, "num_hidden_layers": (1, 2)}})
    result = optimizer.extract(search, **splits(), elastic_folder=tmp_path)
    student = optimizer.initialize(result)
    assert student.config.hidden_size == result.architecture["hidden_size"] in axes["hidden_size"]
    assert student.config.num_attention_heads == result.architecture["num_attention_heads"]


def test_a_killed_search_goes_on_and_finds_the_same(teacher_folder: Path, tmp_path: Path) -> None:
    alone, resumed = (tmp_path / name for name in ("alone", "resumed"))
    expected = opened(teacher_folder).extract(SEARCH, **splits(), journal=alone / "journal.jsonl", elastic_folder=alone)
    first = opened(teacher_folder)
    first.extract(SEARCH, **splits(), journal=resumed / "journal.jsonl", elastic_folder=resumed)
    files = [alone / "journal.jsonl", resumed / "journal.jsonl"]
    path = files[1]
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:4]) + b"\n" + lines[4][:30])  # killed while the fourth candidate was written
    again = opened(teacher_folder)
    found = again.extract(SEARCH, **splits(), journal=path, elastic_folder=resumed)
    assert found == expected
    excess = [{str(entry["architecture"]): entry["excess"] for entry in entries(file)} for file in files]
    assert excess[0] == excess[1]


def entries(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def test_a_training_with_other_settings_is_kept_aside(teacher_folder: Path, tmp_path: Path) -> None:
    optimizer = opened(teacher_folder)
    optimizer.extract(SEARCH, **splits(), elastic_folder=tmp_path)
    other = SearchConfig(**{**vars_of(SEARCH), "seed": 1})
    optimizer.extract(other, **splits(), elastic_folder=tmp_path)
    names = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(names) == 2
    assert STATE_FILE in names


def test_a_finished_training_answers_a_tighter_question(teacher_folder: Path, tmp_path: Path) -> None:
    optimizer, journal = opened(teacher_folder), tmp_path / "journal.jsonl"
    first = optimizer.extract(SEARCH, **splits(), journal=journal, elastic_folder=tmp_path)
    before, told = journal.read_bytes(), (tmp_path / STATE_FILE).read_bytes()
    bound = int(first.objectives.parameter_size) - 1
    tighter = SearchConfig(**{**vars_of(SEARCH), "max_parameters": bound, "epsilon": 0.2})
    again = opened(teacher_folder)
    found = again.extract(tighter, **splits(), journal=journal, elastic_folder=tmp_path)
    assert found.objectives.parameter_size <= bound
    assert (journal.read_bytes(), (tmp_path / STATE_FILE).read_bytes()) == (before, told)
    assert {entry.architecture: entry.objectives for entry in found.evaluations}.items() <= {
        entry.architecture: entry.objectives for entry in first.evaluations
    }.items()


NAMES = ("method", "elastic", "sequence_length", "num_eval_rows", "axes", "max_non_embedding_parameters")


def test_values_of_an_axis_that_were_never_trained_are_no_narrower_question(
    teacher_folder: Path, tmp_path: Path
) -> None:
    optimizer = opened(teacher_folder)
    optimizer.extract(SEARCH, **splits(), elastic_folder=tmp_path)
    before = (tmp_path / STATE_FILE).read_bytes()
    fewer, other = ({**SEARCH.axes, "intermediate_size": values} for values in ((16,), (16, 24)))
    optimizer.extract(SearchConfig(**{**vars_of(SEARCH), "axes": fewer}), **splits(), elastic_folder=tmp_path)
    assert (tmp_path / STATE_FILE).read_bytes() == before
    optimizer.extract(SearchConfig(**{**vars_of(SEARCH), "axes": other}), **splits(), elastic_folder=tmp_path)
    assert (tmp_path / STATE_FILE).read_bytes() != before


def vars_of(config: SearchConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in NAMES}


def test_too_many_candidates_are_measured_by_the_certified_search(teacher_folder: Path) -> None:
    few = SearchConfig(**{**vars_of(SEARCH), "elastic": ElasticSetting(num_steps=1, batch_size=8, max_measured=8)})
    result = opened(teacher_folder).extract(few, **splits())
    assert result.certificate.num_evaluations <= 8 < result.certificate.num_candidates


def test_the_divergence_needs_the_elastic_method() -> None:
    with pytest.raises(InvalidConfigError, match="error divergence needs the method elastic"):
        SearchConfig(error="divergence", method="certified")


def test_answers_that_are_compared_as_a_whole_are_refused_before_any_training() -> None:
    with pytest.raises(UnsupportedModelError, match="answers that are compared one by one; those of representation"):
        require_measurable(REPRESENTATION)
