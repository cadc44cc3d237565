"""A run resumed inside an epoch sees the rest of it in the order of an undisturbed run, rows grouped by length too."""

import shutil

import pytest
import torch
import transformers
from packaging.version import Version
from transformers import TrainingArguments

from optimum_ose.configuration import AgoraConfig
from optimum_ose.finetuning.epoch_start import EPOCH_START_FILE
from optimum_ose.finetuning.trainer import build_trainer

BY_LENGTH = (
    {"train_sampling_strategy": "group_by_length"}
    if Version(transformers.__version__).major >= 5
    else {"group_by_length": True}
)


@pytest.fixture
def trainer(make_model, tokenizer, train, dev, labeler):
    def make(folder, *, agora):
        args = TrainingArguments(
            str(folder),
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            num_train_epochs=3,
            per_device_train_batch_size=4,
            learning_rate=1e-3,
            save_strategy="steps",
            save_steps=4,
            **BY_LENGTH,
        )
        return build_trainer(
            make_model(0),
            args,
            train_dataset=train,
            eval_dataset=dev,
            tokenizer=tokenizer,
            agora=AgoraConfig() if agora else None,
            labeler=labeler if agora else None,
            test_dataset=dev,
        )

    return make


@pytest.mark.parametrize("agora", [False, True], ids=["plain", "Agora"])
@pytest.mark.parametrize("step", [4, 8, 16])
def test_a_run_resumed_inside_any_epoch_ends_with_the_same_weights(trainer, tmp_path, agora, step):
    straight = trainer(tmp_path / "straight", agora=agora)
    straight.train()
    assert straight.state.global_step == 6 * 3
    shutil.copytree(tmp_path / "straight" / f"checkpoint-{step}", tmp_path / "resumed" / f"checkpoint-{step}")
    torch.manual_seed(step)  # what a new process begins with does not matter
    resumed = trainer(tmp_path / "resumed", agora=agora)
    resumed.train(resume_from_checkpoint=True)
    for name, expected in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], expected), name


def test_without_the_state_the_order_would_be_another_one(trainer, tmp_path):
    straight = trainer(tmp_path, agora=False)
    straight.train()
    for folder in tmp_path.glob("checkpoint-*"):
        if folder.name != "checkpoint-8":
            shutil.rmtree(folder)
    (tmp_path / "checkpoint-8" / EPOCH_START_FILE).unlink()
    resumed = trainer(tmp_path, agora=False)
    resumed.train(resume_from_checkpoint=True)
    assert not torch.equal(resumed.model.classifier.weight, straight.model.classifier.weight)
