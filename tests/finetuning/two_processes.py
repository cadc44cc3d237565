"""What each process of a launch does in the test of a shared pool: Agora with a seed of its own, and notes."""

import json
import os
import sys
from pathlib import Path

import datasets
import torch
from transformers import BertForSequenceClassification, Trainer, TrainingArguments

from optimum_ose.configuration import AgoraConfig
from optimum_ose.finetuning.callback import AgoraCallback
from optimum_ose.finetuning.collator import AgoraDataCollator
from themes import THEMES, teacher_config, theme_table, trained_teacher, word_tokenizer


def token_rows(num_rows: int, seed: int) -> datasets.Dataset:
    """Themes, tokenized."""
    table = theme_table(num_rows, seed)
    labels = [list(THEMES).index(theme) for theme in table["label"]]
    return datasets.Dataset.from_dict({**word_tokenizer()(table["text"].to_list()), "labels": labels})


def main(folder: Path) -> None:
    """Train for two epochs and write down the pool, the reports and the rows of each batch."""
    rank, tokenizer, teacher = int(os.environ["RANK"]), word_tokenizer(), trained_teacher()
    train, dev = token_rows(24, seed=1), token_rows(40, seed=2)
    torch.manual_seed(0)
    student = BertForSequenceClassification(teacher_config())
    collator = AgoraDataCollator(tokenizer, config=AgoraConfig(seed=rank, max_distance=5.0))
    callback = AgoraCallback(collator, teacher, train_dataset=train, eval_dataset=dev, test_dataset=dev)
    sizes = []

    def noted(features):
        batch = collator(features)
        sizes.append((len(features), len(batch["labels"])))
        return batch

    arguments = TrainingArguments(
        str(folder / "run"),
        num_train_epochs=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        save_strategy="no",
        ddp_backend="gloo",
    )
    trainer = Trainer(student, arguments, train_dataset=train, data_collator=noted, callbacks=[callback])
    trainer.train()
    content = {
        "num_processes": arguments.world_size,
        "rows": [list(row.features["input_ids"]) for row in collator.pool.rows],
        "labels": [row.label for row in collator.pool.rows],
        "rounds": [report.num_mistakes for report in callback.rounds],
        "weights": float(sum(parameter.double().abs().sum() for parameter in student.parameters())),
        "num_added": sum(after - before for before, after in sizes),
    }
    (folder / f"process-{rank}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
