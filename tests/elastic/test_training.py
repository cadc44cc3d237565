"""One training teaches all candidates, is deterministic, and goes on after a kill as if nothing had happened."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from optimum_ose.configuration.elastic import ElasticSetting
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.data.tokenization import tokenize
from optimum_ose.distillation.candidates import CandidateRun
from optimum_ose.elastic.measuring import EXCESS_FLOOR, ElasticMeasurer, row_measures
from optimum_ose.elastic.sandwich import Sandwich
from optimum_ose.elastic.state import STATE_FILE, KeptState, kept_state, load_state
from optimum_ose.elastic.student import ElasticStudent
from optimum_ose.elastic.training import ElasticReport, rate, train
from optimum_ose.exceptions import DivergedError, OutputFolderError
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.optimizer.students import StudentMaker
from themes import theme_table, word_tokenizer

TASK = "text-classification"
SETTING = ElasticSetting(num_steps=8, batch_size=8, learning_rate=3e-3, checkpoint_steps=3)


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path) -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_pretrained(teacher_folder).eval()


@pytest.fixture(scope="module")
def rows(teacher: PreTrainedModel) -> Dataset:
    table = theme_table(80, seed=3)
    labels = [teacher.config.label2id[name] for name in table["label"]]
    return tokenize(Dataset.from_dict({"text": table["text"], "label": labels}), word_tokenizer(), max_length=32)


@pytest.fixture(scope="module")
def space(teacher: PreTrainedModel) -> SearchSpace:
    return derive_search_space(teacher.config, task=TASK)


@pytest.fixture(scope="module")
def maker(teacher: PreTrainedModel, rows: Dataset) -> StudentMaker:
    return StudentMaker(teacher, word_tokenizer(), task=TASK, rows=rows)


def fresh(maker: StudentMaker, sizes: Architecture) -> ElasticStudent:
    return ElasticStudent(maker.ordered(sizes, is_teacher=True), sizes, task=TASK, dimension_map=maker.dimension_map)


def sandwich(space: SearchSpace) -> Sandwich:
    return Sandwich(space.candidates, space.parameter_size(space.candidates), num_random=2, seed=0)


def taught(
    student: ElasticStudent,
    teacher: PreTrainedModel,
    space: SearchSpace,
    rows: Dataset,
    setting: ElasticSetting = SETTING,
    **options: object,
) -> ElasticReport:
    return train(
        student,
        teacher,
        sandwich(space),
        rows=rows,
        tokenizer=word_tokenizer(),
        setting=setting,
        seed=0,
        task=TASK,
        **options,
    )


def weights(student: ElasticStudent) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in student.shared.parameters()])


def measurer(student: ElasticStudent, teacher: PreTrainedModel, rows: Dataset) -> ElasticMeasurer:
    return ElasticMeasurer(
        student.view,
        teacher,
        tokenizer=word_tokenizer(),
        eval_rows=rows,
        task=TASK,
        error="divergence",
        score=lambda answers, of: float((answers.argmax(-1) == np.asarray(of["labels"][:])).mean()),
        clock=lambda: 0.0,
    )


def run_of(architecture: Architecture) -> CandidateRun:
    return CandidateRun(architecture=architecture, theta={}, replicate=0)


def test_the_ordered_student_of_the_teachers_size_is_the_teacher(
    teacher: PreTrainedModel, maker: StudentMaker, space: SearchSpace, rows: Dataset
) -> None:
    student = fresh(maker, space.maximum_point)
    assert not torch.equal(student.shared.bert.embeddings.word_embeddings.weight, teacher.get_input_embeddings().weight)
    found = measurer(student, teacher, rows).measure(run_of(space.maximum_point))
    assert found["error"] == pytest.approx(EXCESS_FLOOR, rel=1e-3)
    assert row_measures([found], num_rows=len(rows)).excess.max() < 1e-5


def test_ordered_parts_come_most_important_first(maker: StudentMaker, space: SearchSpace) -> None:
    sizes = Architecture({**space.maximum_point, "hidden_size": 16, "num_attention_heads": 2})
    inner = maker.importance.inner[-1]
    order = torch.argsort(inner, descending=True)
    assert torch.all(inner[order].diff() <= 0)
    shared = maker.ordered(space.maximum_point, is_teacher=True)
    bias = maker._teacher.bert.encoder.layer[-1].intermediate.dense.bias
    assert torch.equal(shared.bert.encoder.layer[-1].intermediate.dense.bias, bias[order])
    assert maker.ordered(sizes, is_teacher=True).config.hidden_size == 16


def test_all_candidates_come_closer_to_the_teacher(
    teacher: PreTrainedModel, maker: StudentMaker, space: SearchSpace, rows: Dataset
) -> None:
    sizes = Architecture({**space.maximum_point, "hidden_size": 24, "num_attention_heads": 3})
    small = SearchSpace.of([candidate for candidate in space if candidate["hidden_size"] <= 24], maximum_point=sizes)
    student = fresh(maker, sizes)
    costs = np.array([sum(candidate.values()) for candidate in small])
    plan = Sandwich(small.candidates, costs, num_random=2, seed=0)
    asked = [plan.largest, plan.smallest, small.candidates[len(small) // 2]]

    def errors() -> list[float]:
        measured = measurer(student, teacher, rows)
        return [measured.measure(run_of(architecture))["error"] for architecture in asked]

    before = errors()
    setting = replace(SETTING, num_steps=40, learning_rate=1e-2)
    train(student, teacher, plan, rows=rows, tokenizer=word_tokenizer(), setting=setting, seed=0, task=TASK)
    after = errors()
    assert all(now < max(then, 0.01) for then, now in zip(before, after, strict=True)), (before, after)


def test_the_same_seed_gives_the_same_weights(
    teacher: PreTrainedModel, maker: StudentMaker, space: SearchSpace, rows: Dataset
) -> None:
    students = [fresh(maker, space.maximum_point) for _ in range(2)]
    state = torch.random.get_rng_state()
    for student in students:
        taught(student, teacher, space, rows)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(weights(students[0]), weights(students[1]))
    assert not torch.equal(weights(students[0]), weights(fresh(maker, space.maximum_point)))


@pytest.mark.parametrize("stopped_at", [2, 5, 7])
def test_killed_and_gone_on_it_ends_with_the_same_weights(
    teacher: PreTrainedModel, maker: StudentMaker, space: SearchSpace, rows: Dataset, tmp_path: Path, stopped_at: int
) -> None:
    expected = fresh(maker, space.maximum_point)
    taught(expected, teacher, space, rows)
    state = tmp_path / STATE_FILE

    def stop(step: int, _loss: float) -> None:
        if step == stopped_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taught(fresh(maker, space.maximum_point), teacher, space, rows, state=state, question={"x": 1}, on_step=stop)
    student = fresh(maker, space.maximum_point)
    report = taught(student, teacher, space, rows, state=state, question={"x": 1})
    assert report.resumed_from == stopped_at // 3 * 3
    assert torch.equal(weights(student), weights(expected))
    assert kept_state(state) == KeptState(question={"x": 1}, step=SETTING.num_steps, is_finished=True)
    again = fresh(maker, space.maximum_point)
    assert taught(again, teacher, space, rows, state=state, question={"x": 1}).resumed_from == SETTING.num_steps
    assert torch.equal(weights(again), weights(expected))


def test_a_damaged_state_is_refused(maker: StudentMaker, space: SearchSpace, tmp_path: Path) -> None:
    state = tmp_path / STATE_FILE
    state.write_bytes(b"no tensors")
    assert kept_state(state) is None
    with pytest.raises(OutputFolderError, match="must hold the state of this elastic training"):
        load_state(state, maker.ordered(space.maximum_point, is_teacher=True), None)


def test_a_training_that_diverges_says_so(
    teacher: PreTrainedModel, maker: StudentMaker, space: SearchSpace, rows: Dataset
) -> None:
    student = fresh(maker, space.maximum_point)
    with torch.no_grad():
        student.shared.classifier.bias.fill_(float("nan"))
    with pytest.raises(DivergedError, match="at least one candidate must have a finite loss|At least one candidate"):
        taught(student, teacher, space, rows, replace(SETTING, num_steps=40))


def test_a_candidate_that_diverges_is_left_out_and_counted(
    teacher: PreTrainedModel, maker: StudentMaker, space: SearchSpace, rows: Dataset
) -> None:
    student = fresh(maker, space.maximum_point)
    with torch.no_grad():
        student.shared.bert.encoder.layer[0].output.dense.bias.fill_(float("nan"))  # shallow candidates do without it
    plan = sandwich(space)
    with pytest.raises(DivergedError, match="weights of .* are not finite"):
        taught(student, teacher, space, rows)
    entry = measurer(student, teacher, rows).measure(run_of(plan.largest))
    assert (entry["error"], entry["failure"]) == (None, "diverged")
    assert measurer(student, teacher, rows).measure(run_of(plan.smallest))["error"] is not None


def test_measured_rows_are_those_of_the_candidate_as_a_model_of_its_own(
    teacher: PreTrainedModel, maker: StudentMaker, space: SearchSpace, rows: Dataset
) -> None:
    student = fresh(maker, space.maximum_point)
    architecture = sandwich(space).smallest
    entry = measurer(student, teacher, rows).measure(run_of(architecture))
    found = row_measures([entry, {"kind": "another"}], num_rows=len(rows))
    logits, answers = (
        torch.from_numpy(predict_logits(model, rows, tokenizer=word_tokenizer())).double()
        for model in (student.materialize(architecture), teacher)
    )
    target, given = answers.log_softmax(-1), logits.log_softmax(-1)
    expected = (target.exp() * (target - given)).sum(-1)
    np.testing.assert_allclose(found.excess[0], expected.numpy(), atol=1e-5)
    assert entry["error"] == pytest.approx(float(expected.mean()) + EXCESS_FLOOR, rel=1e-5)
    assert found.is_right is not None
    assert entry["score"] == found.is_right[0].mean()


def test_the_rate_rises_then_falls_to_zero() -> None:
    setting = ElasticSetting(num_steps=100, warmup_ratio=0.1)
    found = [rate(step, setting) for step in range(101)]
    assert found[0] == 0.1
    assert max(found) == found[9] == 1.0
    assert found[100] == 0.0
    assert all(later <= earlier for earlier, later in pairwise(found[9:]))


def test_the_largest_and_the_smallest_are_in_every_step_and_a_step_draws_alone(space: SearchSpace) -> None:
    plan, other = sandwich(space), sandwich(space)
    steps = [plan.views(step) for step in range(30)]
    assert all({plan.largest, plan.smallest} <= set(views) for views in steps)
    assert other.views(17) == steps[17]
    assert len({candidate for views in steps for candidate in views}) > len(space) / 2
