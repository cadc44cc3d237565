"""Claims about AgoraCallback in a Trainer that the user made: accumulated gradients, and when rounds come."""

import logging

import datasets
import pytest
import torch
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from optimum_ose.configuration import AgoraConfig
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.finetuning.accumulation import AccumulatedLoss
from optimum_ose.finetuning.callback import AgoraCallback
from optimum_ose.finetuning.collator import AgoraDataCollator

ONE_PLAIN_STEP = {"optim": "sgd", "learning_rate": 1.0, "max_steps": 1, "max_grad_norm": 0.0}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def stock(tmp_path_factory, tokenizer, labeler, dev):
    """A Trainer as docs/agora.md makes it."""

    def make(model, rows, *others, config=None, known=None, **settings):
        collator = AgoraDataCollator(tokenizer, config=config or AgoraConfig(steps_per_round=1))
        callback = AgoraCallback(
            collator, labeler, train_dataset=rows if known is None else known, eval_dataset=dev, test_dataset=dev
        )
        arguments = {"per_device_train_batch_size": 4, "save_strategy": "no", "learning_rate": 1e-3, **settings}
        args = TrainingArguments(
            str(tmp_path_factory.mktemp("run")),
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **arguments,
        )
        trainer = Trainer(model, args, train_dataset=rows, data_collator=collator, callbacks=[callback, *others])
        return trainer, callback

    return make


def step_of(trainer):
    before = trainer.model.classifier.weight.detach().clone()
    trainer.train()
    return trainer.model.classifier.weight.detach() - before


@pytest.fixture(scope="module")
def train(make_dataset):
    return make_dataset(16, seed=0)


@pytest.mark.parametrize("smoothed", [0.0, 0.2])
def test_four_accumulated_batches_give_the_gradient_of_one_big_batch(stock, train, make_model, smoothed):
    def step(**settings):
        trainer, _ = stock(make_model(0, **STILL), train, label_smoothing_factor=smoothed, **ONE_PLAIN_STEP, **settings)
        return step_of(trainer)

    big = step(per_device_train_batch_size=16)
    accumulated = step(per_device_train_batch_size=4, gradient_accumulation_steps=4)
    assert big.abs().max() > 1e-4
    torch.testing.assert_close(accumulated, big, rtol=1e-3, atol=1e-6)


def test_a_last_short_batch_counts_by_its_rows(stock, make_dataset, make_model):
    rows = make_dataset(14, seed=0)
    big = step_of(stock(make_model(0, **STILL), rows, per_device_train_batch_size=14, **ONE_PLAIN_STEP)[0])
    cut = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4, **ONE_PLAIN_STEP}
    torch.testing.assert_close(step_of(stock(make_model(0, **STILL), rows, **cut)[0]), big, rtol=1e-3, atol=1e-6)


def test_it_is_said_that_the_loss_is_averaged_here(stock, train, make_model, caplog):
    with caplog.at_level(logging.INFO, logger="optimum_ose.finetuning"):
        stock(make_model(0), train, gradient_accumulation_steps=4, **ONE_PLAIN_STEP)[0].train()
    assert "the loss of BertForSequenceClassification is averaged over the accumulated batches here" in caplog.text
    assert "Agora: 1 rounds will come" in caplog.text


SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
KINDS = {
    "bert tags": lambda: BertForTokenClassification(BertConfig(**SMALL, num_labels=3, **STILL)),
    "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**SMALL, num_labels=3, **STILL)),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=16, num_labels=3, dropout=0, seq_classif_dropout=0
        )
    ),
    "gpt2": lambda: GPT2ForSequenceClassification(
        GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, num_labels=3, pad_token_id=0, resid_pdrop=0)
    ),
    "llama, whose loss counts the items itself": lambda: LlamaForCausalLM(LlamaConfig(**SMALL)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_weighed_once_whoever_weighs_it(kind):
    torch.manual_seed(0)
    model = KINDS[kind]().train()
    ids = torch.randint(3, 50, (4, 6))
    labels = ids if "llama" in kind else torch.randint(0, 3, (4, 6) if "tags" in kind else (4,))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    count = labels[:, 1:].numel() if "llama" in kind else labels.numel()
    torch.manual_seed(1)
    mean = model(**inputs, labels=labels).loss
    watch = AccumulatedLoss()
    watch.attach(model)
    torch.manual_seed(1)
    weighed = model(**inputs, labels=labels, num_items_in_batch=torch.tensor(4 * count)).loss
    torch.testing.assert_close(weighed, mean / 4)
    watch.detach()
    assert not model._forward_hooks


def test_a_training_that_ends_before_the_first_round_is_refused_with_what_to_set(stock, make_dataset, make_model):
    trainer, _ = stock(make_model(0), make_dataset(40, seed=0), config=AgoraConfig(), max_steps=6)
    with pytest.raises(
        InvalidConfigError, match=r"a round comes every 10 steps, and the training has 6\. Set steps_per_round=2 in"
    ):
        trainer.train()
    assert trainer.state.global_step == 0


def test_half_an_epoch_is_refused_too(stock, make_dataset, make_model):
    trainer, _ = stock(make_model(0), make_dataset(40, seed=0), config=AgoraConfig(), num_train_epochs=0.5)
    with pytest.raises(InvalidConfigError, match="long enough for one round"):
        trainer.train()


def test_rounds_come_after_so_many_steps_where_that_is_asked_for(stock, make_dataset, make_model):
    class Steps(TrainerCallback):
        rounds: tuple[int, ...] = ()

        def on_step_end(self, args, state, control, **kwargs):
            self.rounds = (*self.rounds, len(callback.rounds))

    steps = Steps()
    rows = make_dataset(40, seed=0)
    trainer, callback = stock(make_model(0), rows, steps, config=AgoraConfig(steps_per_round=3), max_steps=7)
    trainer.train()
    assert [report.round for report in callback.rounds] == [1, 2]
    assert steps.rounds == (0, 0, 1, 1, 1, 2, 2)
    assert trainer.data_collator.pool.rows


def test_a_stream_has_rounds_as_long_as_one_pass_over_its_rows(stock, train, make_model):
    stream = train.to_iterable_dataset()
    trainer, callback = stock(make_model(0), stream, known=train, config=AgoraConfig(), max_steps=9)
    trainer.train()
    assert [report.round for report in callback.rounds] == [1, 2]  # 16 rows in batches of 4: every 4 steps
    assert trainer.data_collator.pool.rows


def test_a_stream_too_short_for_a_round_is_refused(stock, train, make_model):
    trainer, _ = stock(make_model(0), train.to_iterable_dataset(), known=train, config=AgoraConfig(), max_steps=3)
    with pytest.raises(InvalidConfigError, match="every 4 steps, and the training has 3"):
        trainer.train()


def test_workers_would_not_see_a_round_inside_an_epoch(stock, train, make_model):
    trainer, _ = stock(make_model(0), train, max_steps=3, dataloader_num_workers=1)
    with pytest.raises(InvalidConfigError, match="workers keep the pool of the epoch's beginning"):
        trainer.train()


def test_formatted_sets_are_taken_as_they_are(stock, train, make_model, tokenizer, labeler, dev):
    collator = AgoraDataCollator(tokenizer)
    made = AgoraCallback(
        collator, labeler, train_dataset=train.with_format("numpy"), eval_dataset=dev.with_format("pandas")
    )
    assert next(iter(made._train_dataset)) == train[0]
    assert next(iter(made._eval_dataset)) == dev[0]


@pytest.mark.parametrize(
    "value", [None, 5, "rows", datasets.Dataset.from_dict({"input_ids": []}), datasets.DatasetDict(), {"input_ids": []}]
)
@pytest.mark.parametrize("role", ["train_dataset", "eval_dataset", "labeler_dataset", "test_dataset"])
def test_what_holds_no_rows_is_refused_when_the_callback_is_made(tokenizer, labeler, train, dev, role, value):
    given = {"train_dataset": train, "eval_dataset": dev, role: value}
    if value is None and role in ("labeler_dataset", "test_dataset"):
        AgoraCallback(AgoraDataCollator(tokenizer), labeler, **given)  # None is the default
    else:
        with pytest.raises(InvalidDataError, match=f"{role} must "):
            AgoraCallback(AgoraDataCollator(tokenizer), labeler, **given)


@pytest.mark.parametrize("value", [None, 5, "model"])
def test_collator_and_labeler_must_be_of_their_kind(tokenizer, labeler, train, dev, value):
    with pytest.raises(InvalidConfigError, match="collator must be of the kind AgoraDataCollator"):
        AgoraCallback(value, labeler, train_dataset=train, eval_dataset=dev)
    with pytest.raises(InvalidConfigError, match="labeler must be of the kind PreTrainedModel"):
        AgoraCallback(AgoraDataCollator(tokenizer), value, train_dataset=train, eval_dataset=dev)
    with pytest.raises(InvalidConfigError, match="tokenizer must be of the kind PreTrainedTokenizerBase"):
        AgoraDataCollator(value)
    with pytest.raises(InvalidConfigError, match=r"config must be of the kind AgoraConfig or None.*Pass AgoraConfig"):
        AgoraDataCollator(tokenizer, config=value or 7)


def test_labels_that_are_no_class_of_the_labeler_are_refused(tokenizer, labeler, train, dev, stock, make_model):
    wrong = dev.remove_columns("labels").add_column("labels", [2] * len(dev))
    trainer, callback = stock(make_model(0), train)
    callback._eval_dataset = callback._labeler_dataset = wrong
    with pytest.raises(InvalidDataError, match=r"whole numbers from 0 to 1; row 0 has labels=2"):
        trainer.train()
