"""Distillation can learn from copies of its rows in which words gave way to neighbors, answered by the teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForMaskedLM, PreTrainedModel

from optimum_ose import Architecture, DistillationConfig, OSEConfig, OSEOptimizer
from optimum_ose.data.tokenization import TEACHER_LOGITS
from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.optimizer.augmentation import augmented_copies
from themes import teacher_config, theme_table, word_tokenizer

SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
COPYING = DistillationConfig(num_steps=24, learning_rate=3e-3, num_augmented_copies=3, checkpoint_steps=8)


@pytest.fixture
def optimizer(teacher_folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(teacher_folder, task="text-classification")


@pytest.fixture(scope="module")
def themes() -> Dataset:
    return Dataset.from_pandas(theme_table(60, seed=3), preserve_index=False).class_encode_column("label")


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def distilled(optimizer: OSEOptimizer, themes: Dataset, config: DistillationConfig, **options: object) -> torch.Tensor:
    return weights(optimizer.distill(optimizer.initialize(SMALL, scratch_seed=0), themes, config, **options))


def test_copies_differ_in_words_only_and_are_always_the_same(optimizer: OSEOptimizer, themes: Dataset) -> None:
    rows, copies = optimizer.rows(themes), augmented_copies(optimizer, themes, COPYING)
    assert len(copies) == 3 * len(rows)
    assert set(copies.column_names) == set(rows.column_names) - {"labels"}
    special = set(optimizer.tokenizer.all_special_ids)
    for index, copy in enumerate(copies):
        source = rows[index % len(rows)]
        assert len(copy["input_ids"]) == len(source["input_ids"])
        assert copy["attention_mask"] == source["attention_mask"]
        changed = [(old, new) for old, new in zip(source["input_ids"], copy["input_ids"], strict=True) if old != new]
        assert changed
        assert not special & {token for pair in changed for token in pair}
    assert copies[: len(rows)] != copies[len(rows) : 2 * len(rows)]
    again = augmented_copies(optimizer, themes, DistillationConfig(num_augmented_copies=3, seed=7))
    assert again.to_dict() == copies.to_dict()
    assert again._fingerprint == copies._fingerprint  # answers of the teacher are kept by it


def test_copies_are_learned_as_text_without_labels_is(optimizer: OSEOptimizer, themes: Dataset, tmp_path: Path) -> None:
    found = distilled(optimizer, themes, COPYING)
    plain, copies = DistillationConfig(num_steps=24, learning_rate=3e-3), augmented_copies(optimizer, themes, COPYING)
    assert torch.equal(found, distilled(optimizer, themes, plain, unlabeled_dataset=copies))
    torch.testing.assert_close(  # batches of the teacher are others, and so is its rounding
        found, distilled(optimizer, themes, COPYING, answers_folder=tmp_path), rtol=0, atol=2e-3
    )
    assert list(tmp_path.iterdir())
    assert not torch.equal(found, distilled(optimizer, themes, plain))


def test_the_teacher_answers_the_copies_and_not_their_sources(optimizer: OSEOptimizer, themes: Dataset) -> None:
    copies = augmented_copies(optimizer, themes, COPYING)
    answers = np.array(optimizer.answered_rows(copies, needs_labels=False)[TEACHER_LOGITS])
    np.testing.assert_allclose(
        answers, predict_logits(optimizer.teacher, copies, tokenizer=optimizer.tokenizer), atol=1e-6
    )
    of_sources = np.tile(np.array(optimizer.answered_rows(themes)[TEACHER_LOGITS]), (3, 1))
    assert (answers.argmax(axis=1) != of_sources.argmax(axis=1)).any()


def test_copies_join_further_text(optimizer: OSEOptimizer, themes: Dataset) -> None:
    texts = Dataset.from_dict({"text": theme_table(20, seed=9)["text"].to_list()})
    found = distilled(optimizer, themes, COPYING, unlabeled_dataset=texts)
    assert not torch.equal(found, distilled(optimizer, themes, COPYING))
    assert torch.equal(found, distilled(optimizer, themes, COPYING, unlabeled_dataset=texts))


def test_killed_and_gone_on_it_ends_with_the_same_weights(
    optimizer: OSEOptimizer, themes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def kill(done: int, _note: str) -> None:
        if done == 11:
            raise KilledError

    undisturbed = distilled(optimizer, themes, COPYING)
    with monkeypatch.context() as patch:
        patch.setattr(optimizer.listener, "advance", kill)
        with pytest.raises(KilledError):
            distilled(optimizer, themes, COPYING, checkpoint_folder=tmp_path)
    assert torch.equal(distilled(optimizer, themes, COPYING, checkpoint_folder=tmp_path), undisturbed)


def test_one_hears_how_far_the_teacher_is_and_it_answers_once(
    optimizer: OSEOptimizer, themes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[tuple[str, int | None]] = []
    answered: list[int] = []
    monkeypatch.setattr(optimizer.listener, "stage", lambda name, total: stages.append((name, total)))
    monkeypatch.setattr(optimizer.listener, "advance", lambda done, note: note or answered.append(done))
    distilled(optimizer, themes, COPYING)
    distilled(optimizer, themes, COPYING)
    assert stages == [("the teacher answers", 60), ("the teacher answers", 180), ("distill", 24), ("distill", 24)]
    assert answered == [60, 64, 128, 180]


def test_a_model_without_input_embeddings_is_refused_before_the_search(
    optimizer: OSEOptimizer, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_model: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(type(optimizer.teacher), "get_input_embeddings", none)
    train, validation, test = (
        Dataset.from_csv(str(data_folder / f"{split}.csv"), cache_dir=str(tmp_path / "cache"))
        for split in ("train", "validation", "test")
    )
    with pytest.raises(UnsupportedModelError, match="input embeddings"):
        optimizer.optimize(
            tmp_path / "out",
            OSEConfig(distillation=COPYING),
            train_dataset=train,
            eval_dataset=validation,
            test_dataset=test,
        )
    assert not (tmp_path / "out" / "ose" / "run.json").exists()


def test_a_language_model_is_refused(themes: Dataset, tmp_path: Path) -> None:
    AutoModelForMaskedLM.from_config(teacher_config()).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InvalidConfigError, match="num_augmented_copies"):
        distilled(OSEOptimizer.from_pretrained(tmp_path, task="fill-mask"), themes, COPYING)
