"""Claims about Agora where every word has a label of its own: labels follow their words."""

import datasets
import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForTokenClassification, Trainer, TrainingArguments

from optimum_ose.configuration import AgoraConfig
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.finetuning.callback import AgoraCallback
from optimum_ose.finetuning.collator import AgoraDataCollator
from optimum_ose.finetuning.pool import IGNORED_LABEL, row_key
from optimum_ose.finetuning.rounds import PoolBuilder

ANIMALS, TOOLS = ("cat", "dog", "cow", "hen", "fox", "owl"), ("saw", "axe", "pen", "cup", "jar", "pan")
FILLERS = ("the", "a", "one", "this", "old", "new", "big")


def label_of(word, is_special):
    """Pieces and special tokens bear no label; the classes are filler, animal, tool."""
    if is_special or word.startswith("##"):
        return IGNORED_LABEL
    return 1 if word in ANIMALS else 2 if word in TOOLS else 0


@pytest.fixture(scope="module")
def make_rows(tokenizer):
    def make(num_rows, seed):
        generator = np.random.default_rng(seed)
        words = (*ANIMALS, *TOOLS, *FILLERS, "cats", "sawlet")
        texts = [" ".join(generator.choice(words, size=generator.integers(2, 8))) for _ in range(num_rows)]
        encoded = [dict(tokenizer(text)) for text in texts]
        for row in encoded:
            names = tokenizer.convert_ids_to_tokens(row["input_ids"])
            row["labels"] = [label_of(name, name in tokenizer.all_special_tokens) for name in names]
        return datasets.Dataset.from_list(encoded)

    return make


@pytest.fixture(scope="module")
def make_tagger(tokenizer):
    def make(seed):
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
            initializer_range=0.2,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            num_labels=3,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return BertForTokenClassification(config)

    return make


@pytest.fixture(scope="module")
def tagger(make_tagger, make_rows, tokenizer):
    """The labeler: trained on rows of its own."""
    model, rows = make_tagger(1), make_rows(128, seed=9)
    batch = AgoraDataCollator(tokenizer)([rows[index] for index in range(len(rows))])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(50):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def built(tagger, make_tagger, make_rows, tokenizer):
    dev = make_rows(30, seed=1)
    builder = PoolBuilder(
        tagger,
        tokenizer,
        train_dataset=make_rows(24, seed=0),
        dev_dataset=dev,
        config=AgoraConfig(points_per_mistake=3, max_distance=3.0),
        batch_size=8,
        test_dataset=make_rows(10, seed=2),
    )
    return (*builder.build(make_tagger(5), round_number=1), dev)


def test_labels_stand_at_the_words_of_the_new_row(built, tokenizer):
    rows, _, _ = built
    assert len(rows) > 20
    for row in rows:
        names = tokenizer.convert_ids_to_tokens(row.features["input_ids"])
        bearing = [label_of(name, name in tokenizer.all_special_tokens) != IGNORED_LABEL for name in names]
        assert [label != IGNORED_LABEL for label in row.label] == bearing
        assert set(row.features) == {"input_ids", "attention_mask", "token_type_ids"}


def test_labels_are_what_the_labeler_says_of_each_new_word(built, tagger):
    rows, report, _ = built
    for row in rows[:10]:
        with torch.inference_mode():
            inputs = {name: torch.tensor([values]) for name, values in row.features.items()}
            logits = tagger(**inputs).logits[0]
        bearing = torch.tensor(row.label) != IGNORED_LABEL
        assert torch.equal(logits.argmax(dim=-1)[bearing], torch.tensor(row.label)[bearing])
        torch.testing.assert_close(torch.tensor(row.soft_label), logits.softmax(dim=-1), atol=1e-4, rtol=1e-3)
    assert report.gold_agreement > 0.7
    assert 0 <= report.test_accuracy < 1


def test_a_row_is_a_mistake_if_one_of_its_words_is_wrong(built, make_tagger, tokenizer):
    rows, report, dev = built
    batch = AgoraDataCollator(tokenizer)([dev[index] for index in range(len(dev))])
    student = make_tagger(5).eval()
    with torch.inference_mode():
        wrong = student(**batch).logits.argmax(dim=-1) != batch["labels"]
    wrong = wrong & (batch["labels"] != IGNORED_LABEL)
    assert report.num_mistakes == int(wrong.any(dim=1).sum())
    num_labeled = int((batch["labels"] != IGNORED_LABEL).sum())
    assert report.dev_accuracy == pytest.approx(1 - int(wrong.sum()) / num_labeled)
    assert {row.origin for row in rows} <= set(torch.nonzero(wrong.any(dim=1)).flatten().tolist())
    assert sum(report.label_counts) == sum(label != IGNORED_LABEL for row in rows for label in row.label)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stock_trainer_learns_from_new_rows_with_labels_per_word(
    tagger, make_tagger, make_rows, tokenizer, tmp_path, workers
):
    train, dev = make_rows(24, seed=0), make_rows(30, seed=1)
    collator = AgoraDataCollator(tokenizer, config=AgoraConfig(max_distance=3.0))
    callback = AgoraCallback(collator, tagger, train_dataset=train, eval_dataset=dev, test_dataset=dev)
    trainer = Trainer(
        make_tagger(5),
        TrainingArguments(
            str(tmp_path),
            num_train_epochs=3,
            per_device_train_batch_size=8,
            learning_rate=1e-2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            dataloader_num_workers=workers,
            save_strategy="epoch",
        ),
        train_dataset=train,
        data_collator=collator,
        callbacks=[callback],
    )
    trainer.train()
    assert callback.labeler_accuracy > 0.8
    assert callback.rounds[-1].dev_accuracy > callback.rounds[0].dev_accuracy
    assert not {row_key(row.features) for row in collator.pool.rows} & {row_key(row) for row in dev}
    kept = collator.pool.rows
    trainer.train(resume_from_checkpoint=True)
    assert collator.pool.rows == kept


def test_soft_labels_stand_at_the_words(built, make_rows, tokenizer):
    rows, _, _ = built
    train = make_rows(8, seed=0)
    collator = AgoraDataCollator(tokenizer, soft_labels=True)
    collator.pool.train_keys, collator.pool.num_train_rows = frozenset(map(row_key, train)), 8
    collator.pool.num_labels, collator.pool.is_open = 3, True
    collator.pool.refill(rows[:8], round_number=1)
    batch = collator([train[index] for index in range(8)])
    bearing = batch["labels"] != IGNORED_LABEL
    assert len(batch["labels"]) > 8
    torch.testing.assert_close(batch["soft_labels"].sum(dim=-1), bearing.float())
    assert torch.equal(batch["soft_labels"].argmax(dim=-1)[bearing], batch["labels"][bearing])


def test_one_label_per_row_is_refused_for_a_tagger(tagger, make_rows, tokenizer):
    rows = make_rows(4, seed=0).remove_columns("labels").add_column("labels", [0, 1, 2, 0])
    with pytest.raises(InvalidDataError, match="the latter one class index per token; row 0 has"):
        PoolBuilder(tagger, tokenizer, train_dataset=rows, dev_dataset=rows, config=AgoraConfig(), batch_size=4)
