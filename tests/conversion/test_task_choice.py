"""The task of an export is that of the class in the config; where it does not tell, the message lists what fits."""

from typing import Any

import pytest
from transformers import BertConfig, GPT2Config, PretrainedConfig, T5Config, ViTConfig, Wav2Vec2Config, WhisperConfig

from optimum_ose.conversion.task_choice import chosen_task, fitting_tasks
from optimum_ose.exceptions import OSEError
from optimum_ose.tasks import task_names


def config_of(kind: type[PretrainedConfig], architecture: str | None, **settings: Any) -> PretrainedConfig:
    return kind(architectures=[architecture] if architecture else None, **settings)


@pytest.mark.parametrize(
    ("kind", "architecture", "task"),
    [
        (BertConfig, "BertForSequenceClassification", "text-classification"),
        (BertConfig, "BertForTokenClassification", "token-classification"),
        (BertConfig, "BertForQuestionAnswering", "question-answering"),
        (BertConfig, "BertForMultipleChoice", "multiple-choice"),
        (BertConfig, "BertForMaskedLM", "fill-mask"),
        (BertConfig, "BertForPreTraining", "fill-mask"),
        (BertConfig, "BertModel", "feature-extraction"),
        (GPT2Config, "GPT2LMHeadModel", "text-generation"),
        (T5Config, "T5ForConditionalGeneration", "text2text-generation"),
        (ViTConfig, "ViTForImageClassification", "image-classification"),
        (Wav2Vec2Config, "Wav2Vec2ForSequenceClassification", "audio-classification"),
        (Wav2Vec2Config, "Wav2Vec2ForCTC", "automatic-speech-recognition"),
    ],
)
def test_the_class_in_the_config_tells_the_task(kind: Any, architecture: str, task: str) -> None:
    assert chosen_task(config_of(kind, architecture), None, source="model").name == task


def test_a_reranker_says_so_itself() -> None:
    config = config_of(BertConfig, "BertForSequenceClassification", served_task="text-ranking", num_labels=1)
    assert chosen_task(config, None, source="model").name == "text-ranking"


@pytest.mark.parametrize(
    ("kind", "architecture", "task", "message"),
    [
        (BertConfig, None, None, r"must be named where config.json does not tell it: .*fill-mask.*; .* no class"),
        (BertConfig, "BertForNextSentencePrediction", None, r"must be named .*; .* 'BertForNextSentencePrediction'"),
        (BertConfig, "BertModel", "text-clasification", r"task must be one of .*; got 'text-clasification'"),
        (
            BertConfig,
            "BertModel",
            "image-classification",
            r"type bert must be exported for .*text-classification.*asked",
        ),
        (BertConfig, "BertModel", "text-classification", r"must have a trained head for it; .* the class 'BertModel'"),
        (ViTConfig, "ViTModel", None, r"vit must be exported for image-classification; the class 'ViTModel'"),
        (T5Config, "T5Model", None, r"t5 must be exported for text2text-generation; the class 'T5Model'"),
        (WhisperConfig, "WhisperForConditionalGeneration", None, r"no task: none of ours .* Choose another model"),
    ],
)
def test_what_is_not_told_or_does_not_fit_is_refused_with_what_does(
    kind: Any, architecture: str | None, task: str | None, message: str
) -> None:
    with pytest.raises(OSEError, match=message):
        chosen_task(config_of(kind, architecture), task, source="model")


def test_the_fitting_tasks_are_tasks_of_the_same_inputs() -> None:
    assert set(fitting_tasks(BertConfig())) < set(task_names())
    assert fitting_tasks(ViTConfig()) == ("image-classification",)
    assert fitting_tasks(T5Config()) == ("text2text-generation",)
    assert set(fitting_tasks(Wav2Vec2Config())) == {"audio-classification", "automatic-speech-recognition"}
