"""Exported folders of tiny models with random weights, one for each task that clients ask in a way of its own."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    BertConfig,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from export.tiny_text import BERT_SIZES, save, tiny_classifier, tiny_tokenizer
from optimum_ose import ExportConfig, OSEOptimizer
from optimum_ose.export.onnx_export import export_onnx
from serving.test_served_images import exported as exported_images
from serving.test_tasks import GPT2, LABELS, exported, whole_words
from tones import RATE, listener_config, save_speaker, tone

SIZES = {**BERT_SIZES, "initializer_range": 0.4}


def _ranker(folder: Path) -> Path:
    model = tiny_classifier(num_labels=1, problem_type="regression", served_task="text-ranking")
    save(model, folder)
    export_onnx(model, tiny_tokenizer(), folder)
    return folder


def _speaker(folder: Path) -> Path:
    processor = Wav2Vec2Processor.from_pretrained(save_speaker(folder / "model"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Wav2Vec2ForCTC(listener_config(vocab_size=6, pad_token_id=0))
    optimizer = OSEOptimizer(model.eval(), processor, task="automatic-speech-recognition")
    optimizer.export(optimizer.teacher, folder / "out", ExportConfig(quantization="none"))
    return folder / "out"


def _text(family: object, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        labels = {"id2label": LABELS} if family is AutoModelForTokenClassification else {}
        exported(family, GPT2 if family is AutoModelForCausalLM else BertConfig(**SIZES, **labels), folder, **options)
        return folder

    return make


MAKERS: dict[str, Callable[[Path], Path]] = {
    "text-ranking": _ranker,
    "token-classification": _text(AutoModelForTokenClassification),
    "fill-mask": _text(AutoModelForMaskedLM),
    "question-answering": _text(AutoModelForQuestionAnswering),
    "multiple-choice": _text(AutoModelForMultipleChoice),
    "sentence-embedding": _text(AutoModel, pooling="mean"),
    "feature-extraction": _text(AutoModel),
    "text-generation": _text(AutoModelForCausalLM, make=whole_words),
    "image-classification": lambda folder: exported_images("vit", folder),
    "automatic-speech-recognition": _speaker,
}
"""Task -> what makes a folder for it; text-classification is the fixture `folder`."""


def wave_file(name: str = "high") -> bytes:
    """A sound that a microphone could send."""
    stream = io.BytesIO()
    soundfile.write(stream, tone(name, np.random.default_rng(0), seconds=0.3), RATE, format="WAV")
    return stream.getvalue()
