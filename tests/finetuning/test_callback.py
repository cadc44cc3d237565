"""Claims about Agora in a stock Trainer: refills, evaluation, checkpoints, resumption and refusals."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from optimum_ose.configuration import AgoraConfig
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, LabelerError
from optimum_ose.finetuning.callback import AgoraCallback
from optimum_ose.finetuning.collator import AgoraDataCollator
from optimum_ose.finetuning.pool import row_key
from optimum_ose.finetuning.pool_file import POOL_FILE


class StopAfter(TrainerCallback):
    """Stops the run as an interruption would, without changing its schedule."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step


class Recorder:
    """A collator that notes the rows of each batch before and after another one."""

    def __init__(self, collator):
        self.collator, self.batches = collator, []

    def __call__(self, features):
        batch = self.collator(features)
        self.batches.append((len(features), len(batch["labels"])))
        return batch


@pytest.fixture(scope="module")
def agora(tmp_path_factory, labeler, tokenizer, train, dev, make_model):
    """A Trainer of 6 steps an epoch, for 3 epochs, its callback and its collator."""

    def make(
        *others,
        folder=None,
        config=None,
        model=None,
        recorded=False,
        examined_on=None,
        teacher=None,
        untouched=None,
        tau=None,
        **settings,
    ):
        collator = AgoraDataCollator(tokenizer, config=config)
        callback = AgoraCallback(
            collator,
            teacher or labeler,
            train_dataset=train,
            eval_dataset=dev,
            labeler_dataset=examined_on,
            test_dataset=untouched,
            perturbation=tau,
        )
        arguments = {"num_train_epochs": 3, "save_strategy": "no", "learning_rate": 1e-3, **settings}
        trainer = Trainer(
            model or make_model(5),
            TrainingArguments(
                str(folder or tmp_path_factory.mktemp("run")),
                per_device_train_batch_size=4,
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
                dataloader_pin_memory=False,
                **arguments,
            ),
            train_dataset=train,
            eval_dataset=dev,
            data_collator=Recorder(collator) if recorded else collator,
            callbacks=[callback, *others],
        )
        return trainer, callback, collator

    return make


@pytest.fixture(scope="module")
def straight(agora):
    """An undisturbed run with a checkpoint every 4 steps; no test changes it."""
    run = agora(recorded=True, save_strategy="steps", save_steps=4)
    run[0].train()
    return run


def checkpoint(run, step, copied_to):
    """A copy of a run's checkpoint, in a folder of its own."""
    return shutil.copytree(f"{run[0].args.output_dir}/checkpoint-{step}", copied_to / f"checkpoint-{step}")


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def assert_same_run(one, two):
    (trainer, callback, collator), (resumed, resumed_callback, resumed_collator) = one, two
    assert collator.pool.rows == resumed_collator.pool.rows
    assert callback.rounds == resumed_callback.rounds
    expected, got = weights(trainer), weights(resumed)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_each_epoch_refills_the_pool_from_the_current_mistakes(straight):
    _, callback, collator = straight
    assert [report.round for report in callback.rounds] == [1, 2, 3]
    assert callback.labeler_accuracy > 0.9
    assert collator.pool.round == 3
    assert len(collator.pool.rows) == sum(report.num_accepted for report in callback.rounds)
    assert all(report.num_accepted for report in callback.rounds)


def test_the_number_of_optimizer_steps_is_that_of_the_training_set(straight):
    trainer, _, _ = straight
    assert trainer.state.global_step == 18
    batches = trainer.data_collator.batches
    assert all(after == before for before, after in batches[:6])
    assert any(after > before for before, after in batches[6:])
    assert all(after <= 1.5 * before for before, after in batches)


def test_new_rows_change_what_is_learned(straight, agora):
    without, _, collator = agora(config=AgoraConfig(min_distance=1e6, max_distance=1e7, max_attempts=1))
    without.train()
    assert not collator.pool.rows
    assert not torch.equal(straight[0].model.classifier.weight, without.model.classifier.weight)


def test_reports_stand_in_the_log_history(straight):
    trainer, callback, _ = straight
    logged = [entry for entry in trainer.state.log_history if "agora_num_mistakes" in entry]
    assert [entry["agora_num_mistakes"] for entry in logged] == [report.num_mistakes for report in callback.rounds]
    assert [entry["epoch"] for entry in logged] == [1, 2, 3]


def test_the_pool_holds_no_development_row(straight, dev):
    assert not {row_key(row.features) for row in straight[2].pool.rows} & {row_key(row) for row in dev}


@pytest.mark.parametrize("settings", [{}, {"dataloader_num_workers": 2}], ids=["one process", "two workers"])
def test_one_seed_gives_one_run(straight, agora, settings):
    again = agora(**settings)
    again[0].train()
    assert_same_run(straight, again)


def test_a_run_resumed_between_two_epochs_equals_an_undisturbed_one(straight, agora, tmp_path):
    agora(StopAfter(12), folder=tmp_path, save_strategy="epoch")[0].train()
    assert json.loads((tmp_path / "checkpoint-12" / POOL_FILE).read_text())["round"] == 2
    resumed = agora(folder=tmp_path)
    resumed[0].train(resume_from_checkpoint=True)
    assert_same_run(straight, resumed)


def test_a_run_resumed_inside_an_epoch_equals_an_undisturbed_one(straight, agora, tmp_path):
    checkpoint(straight, 8, tmp_path)
    resumed = agora(folder=tmp_path)
    resumed[0].train(resume_from_checkpoint=True)
    assert_same_run(straight, resumed)


def test_a_checkpoint_written_before_the_round_at_its_epochs_end_resumes_alike(straight, agora, tmp_path):
    folder = checkpoint(straight, 12, tmp_path)
    assert json.loads((folder / POOL_FILE).read_text())["round"] == 1
    resumed = agora(folder=tmp_path)
    resumed[0].train(resume_from_checkpoint=True)
    assert_same_run(straight, resumed)


def test_without_accumulation_each_round_replaces_the_pool_and_a_lost_one_is_built_again(agora, tmp_path):
    settings = {"config": AgoraConfig(accumulate=False), "folder": tmp_path, "save_strategy": "epoch"}
    undisturbed = agora(**settings)
    undisturbed[0].train()
    assert len(undisturbed[2].pool.rows) == undisturbed[1].rounds[-1].num_accepted > 0
    (tmp_path / "checkpoint-12" / POOL_FILE).unlink()
    resumed = agora(**settings)
    resumed[0].train(resume_from_checkpoint=str(tmp_path / "checkpoint-12"))
    assert resumed[1].rounds == undisturbed[1].rounds[1:]
    assert torch.equal(resumed[0].model.classifier.weight, undisturbed[0].model.classifier.weight)


def test_an_initial_round_comes_before_the_first_step_and_a_resumed_run_keeps_it(agora, tmp_path):
    settings = {"config": AgoraConfig(initial_round=True)}
    run = agora(recorded=True, save_strategy="steps", save_steps=4, **settings)
    run[0].train()
    assert [report.round for report in run[1].rounds] == [0, 1, 2, 3]
    own, all_rows = run[0].data_collator.batches[0]
    assert all_rows > own
    checkpoint(run, 4, tmp_path)
    resumed = agora(folder=tmp_path, **settings)
    resumed[0].train(resume_from_checkpoint=True)
    assert_same_run(run, resumed)


def test_a_round_may_be_several_epochs(agora):
    trainer, callback, _ = agora(config=AgoraConfig(epochs_per_round=2), num_train_epochs=5)
    trainer.train()
    assert [report.round for report in callback.rounds] == [1, 2]
    logged = [entry["epoch"] for entry in trainer.state.log_history if "agora_round" in entry]
    assert logged == [2, 4]


@pytest.mark.parametrize(
    ("step", "number", "settings"), [(8, 1, {}), (12, 2, {}), (4, 0, {"config": AgoraConfig(initial_round=True)})]
)
def test_a_lost_pool_is_an_error_that_says_so(straight, agora, tmp_path, step, number, settings):
    (checkpoint(straight, step, tmp_path) / POOL_FILE).unlink()
    resumed, _, _ = agora(folder=tmp_path, **settings)
    with pytest.raises(
        InvalidDataError, match=rf"needs the pool of its round.*checkpoint-{step} has none of round {number}\. Resume"
    ):
        resumed.train(resume_from_checkpoint=True)


def test_a_second_training_starts_with_an_empty_pool(agora):
    trainer, callback, _ = agora(num_train_epochs=1)
    trainer.train()
    trainer.train()
    assert [report.round for report in callback.rounds] == [1]


@pytest.mark.parametrize("strategy", [{"eval_strategy": "epoch"}, {"eval_strategy": "steps", "eval_steps": 4}])
def test_evaluation_changes_nothing(agora, make_model, strategy):
    """Without dropout, since Trainer's evaluation moves the global generator from which dropout draws."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain = agora(model=make_model(5, **still))
    plain[0].train()
    evaluated = agora(model=make_model(5, **still), **strategy)
    evaluated[0].train()
    assert_same_run(plain, evaluated)


def test_evaluation_on_the_training_set_sees_no_new_row(agora, train):
    trainer, _, collator = agora(eval_strategy="steps", eval_steps=9)
    trainer.eval_dataset = {"one": train, "two": train}
    sizes = []
    trainer.compute_metrics = lambda prediction: sizes.append(len(prediction.label_ids)) or {}
    trainer.train()
    trainer.evaluate(train)
    trainer.evaluate(train)
    assert collator.pool.rows
    assert sizes == [len(train)] * 6


def test_student_and_labeler_keep_their_modes(agora, labeler):
    modes = []

    class Watch(TrainerCallback):
        def on_epoch_end(self, args, state, control, **kwargs):
            modes.append((kwargs["model"].training, labeler.training))

    agora(Watch())[0].train()
    assert modes == [(True, False)] * 3


def test_an_interrupted_epoch_keeps_its_pool(agora):
    trainer, callback, collator = agora(max_steps=9)
    trainer.train()
    assert [report.round for report in callback.rounds] == [1]
    assert collator.pool.round == 1


def test_a_poor_labeler_is_refused_before_the_first_step(agora, make_model):
    trainer, _, _ = agora(teacher=make_model(5))
    with pytest.raises(
        LabelerError, match=r"the labeler must be right on at least 0\.667.*; its accuracy there is 0\."
    ):
        trainer.train()
    assert trainer.state.global_step == 0


def test_the_labeler_can_be_examined_on_rows_of_its_own(agora, make_dataset):
    wrong = make_dataset(30, seed=7)
    wrong = wrong.remove_columns("labels").add_column("labels", [1 - label for label in wrong["labels"]])
    with pytest.raises(LabelerError, match=r"its accuracy there is 0\.000"):
        agora(examined_on=wrong)[0].train()


def test_a_labeler_of_other_classes_is_refused(agora, make_model):
    trainer, _, _ = agora(model=make_model(5, num_labels=3))
    with pytest.raises(
        InvalidConfigError, match=r"must have the same classes; they have 2 and 3\. Fine-tune the labeler"
    ):
        trainer.train()


def test_workers_that_would_keep_an_old_pool_are_refused(agora):
    with pytest.raises(
        InvalidConfigError, match=r"must start anew each epoch.*; dataloader_persistent_workers=True\. Set"
    ):
        agora(dataloader_num_workers=1, dataloader_persistent_workers=True)


def test_a_batch_too_small_for_a_new_row_is_refused(agora):
    with pytest.raises(
        InvalidConfigError, match=r"has room for a new row; pool_share=0\.2 and a batch of 4\. Raise one"
    ):
        agora(config=AgoraConfig(pool_share=0.2))


def test_another_training_set_than_the_trainers_is_refused(agora, dev):
    trainer, _, _ = agora()
    trainer.train_dataset = dev
    with pytest.raises(InvalidDataError, match=r"must get the same training set.*; the Trainer's first row.* Pass one"):
        trainer.train()


def test_a_missing_untouched_split_is_told(agora, make_dataset, caplog):
    agora(num_train_epochs=1)[0].train()
    assert "accuracy is optimistic from then on: report on a third, untouched set" in caplog.text
    caplog.clear()
    agora(num_train_epochs=1, untouched=make_dataset(8, seed=5))[0].train()
    assert "untouched" not in caplog.text


def test_the_untouched_split_is_reported_and_steers_nothing(straight, agora, make_dataset):
    untouched = make_dataset(30, seed=5)
    trainer, callback, collator = agora(untouched=untouched)
    trainer.train()
    logits = trainer.predict(untouched).predictions
    assert all(0 <= report.test_accuracy <= 1 for report in callback.rounds)
    assert callback.rounds[-1].test_accuracy == np.mean(logits.argmax(axis=1) == np.array(untouched["labels"]))
    assert collator.pool.rows == straight[2].pool.rows
    assert {report.test_accuracy for report in straight[1].rounds} == {None}


def test_the_untouched_split_can_be_left_alone_until_the_end(agora, make_dataset, caplog):
    trainer, callback, _ = agora(
        untouched=make_dataset(8, seed=5), config=AgoraConfig(report_test=False), num_train_epochs=1
    )
    trainer.train()
    assert {report.test_accuracy for report in callback.rounds} == {None}
    assert "untouched" not in caplog.text


def test_betti_numbers_are_reported_before_and_after(agora):
    trainer, callback, _ = agora(config=AgoraConfig(betti_numbers=True), num_train_epochs=1)
    trainer.train()
    assert len(callback.betti) == len(callback.rounds[0].betti) == 2
    assert callback.betti[0] >= 1


def test_an_own_tau_makes_the_new_rows(agora, tokenizer, dev):
    fox = tokenizer.get_vocab()["fox"]

    def end_in_a_fox(rows, *, generator):
        return [{**row, "input_ids": [*row["input_ids"][:-2], fox, row["input_ids"][-1]]} for row in rows]

    settings = AgoraConfig(interpolation_share=0.0, min_distance=0.0, max_distance=100.0)
    trainer, _, collator = agora(tau=end_in_a_fox, config=settings, num_train_epochs=1)
    trainer.train()
    assert collator.pool.rows
    for row in collator.pool.rows:
        assert row.features["input_ids"] == [*dev[row.origin]["input_ids"][:-2], fox, tokenizer.sep_token_id]
