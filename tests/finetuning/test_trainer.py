"""Claims about the Trainer that `build_trainer` makes."""

import pytest
import torch
from transformers import Trainer, TrainingArguments

from optimum_ose.configuration import AgoraConfig
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.finetuning.callback import AgoraCallback
from optimum_ose.finetuning.collator import AgoraDataCollator
from optimum_ose.finetuning.trainer import build_trainer

ONE_PLAIN_STEP = {
    "max_steps": 1,
    "learning_rate": 1.0,
    "optim": "sgd",
    "max_grad_norm": 0.0,
    "weight_decay": 0.0,
    "lr_scheduler_type": "constant",
}
"""Gradient descent at rate 1: what it moves is minus the gradient."""
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
"""Without dropout."""


@pytest.fixture
def trainer(tmp_path, make_model, tokenizer, train, dev):
    def make(*, model=None, agora=None, labeler=None, **settings):
        args = TrainingArguments(
            str(tmp_path),
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
            dataloader_pin_memory=False,
            **settings,
        )
        return build_trainer(
            model or make_model(0),
            args,
            train_dataset=train,
            eval_dataset=dev,
            tokenizer=tokenizer,
            agora=agora,
            labeler=labeler,
        )

    return make


def step_of(trainer):
    """What one step of plain gradient descent at rate 1 moves: minus the gradient."""
    before = trainer.model.classifier.weight.detach().clone()
    trainer.train()
    return trainer.model.classifier.weight.detach() - before


def test_four_accumulated_batches_give_the_gradient_of_one_big_batch(trainer, make_model):
    big = step_of(trainer(model=make_model(0, **STILL), per_device_train_batch_size=16, **ONE_PLAIN_STEP))
    accumulated = step_of(
        trainer(
            model=make_model(0, **STILL), per_device_train_batch_size=4, gradient_accumulation_steps=4, **ONE_PLAIN_STEP
        )
    )
    assert big.abs().max() > 1e-4
    torch.testing.assert_close(accumulated, big, rtol=1e-3, atol=1e-6)


def test_it_is_a_stock_trainer(trainer):
    assert type(trainer()) is Trainer


def test_evaluation_gives_accuracy_and_macro_f1(trainer):
    metrics = trainer().evaluate()
    assert 0 <= metrics["eval_accuracy"] <= 1
    assert 0 <= metrics["eval_f1_macro"] <= 1


def test_without_agora_nothing_of_it_is_installed(trainer):
    plain = trainer()
    assert not isinstance(plain.data_collator, AgoraDataCollator)
    assert not any(isinstance(callback, AgoraCallback) for callback in plain.callback_handler.callbacks)


def test_with_agora_each_epoch_is_a_round(trainer, labeler):
    steered = trainer(agora=AgoraConfig(seed=1), labeler=labeler, num_train_epochs=2, per_device_train_batch_size=4)
    steered.train()
    assert steered.data_collator.config.seed == 1
    assert [entry["agora_round"] for entry in steered.state.log_history if "agora_round" in entry] == [1, 2]


def test_agora_without_a_labeler_is_refused(trainer):
    with pytest.raises(InvalidConfigError, match=r"Agora needs a labeler; labeler=None\. Pass the fine-tuned teacher"):
        trainer(agora=AgoraConfig())


@pytest.mark.parametrize("accumulated", [1, 4])
def test_soft_labels_give_one_gradient_however_a_batch_is_cut_and_without_dropout(
    trainer, make_model, labeler, accumulated
):
    model = make_model(0, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    made = trainer(
        model=model,
        agora=AgoraConfig(labeler_share=0.25, steps_per_round=1),
        labeler=labeler,
        per_device_train_batch_size=16 // accumulated,
        gradient_accumulation_steps=accumulated,
        **ONE_PLAIN_STEP,
    )
    reference = make_model(0, **STILL)
    seen = []
    collate = made.data_collator
    made.data_collator = lambda features: seen.extend(features) or collate(features)
    step = step_of(made)
    batch = collate.tokenizer.pad(seen[:16], return_tensors="pt")  # Trainer reads one batch ahead
    labels = batch.pop("labels")
    with torch.no_grad():
        teacher = labeler(**batch).logits.softmax(dim=-1)
    targets = 0.75 * torch.nn.functional.one_hot(labels, 2) + 0.25 * teacher
    loss = torch.nn.functional.cross_entropy(reference(**batch).logits, targets)
    loss.backward()
    torch.testing.assert_close(step, -reference.classifier.weight.grad, atol=1e-6, rtol=1e-4)
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.5}  # as before


def test_evaluation_with_soft_labels_takes_the_given_classes(trainer, labeler):
    made = trainer(agora=AgoraConfig(steps_per_round=1), labeler=labeler, max_steps=1)
    made.train()
    found = made.evaluate()
    assert 0 < found["eval_loss"] < 10
    assert 0 <= found["eval_accuracy"] <= 1


def test_a_process_with_several_devices_is_refused_before_trainer_wraps_the_model(trainer, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda _: 2))
    with pytest.raises(InvalidConfigError, match=r"one process sees 2.* would wrap .*DataParallel.*Launch"):
        trainer()
