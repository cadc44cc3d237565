"""Sounds for tests: tones of three heights, and a tiny Wav2Vec2 that takes waveforms."""

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    Wav2Vec2Processor,
)

RATE = 4000
"""Samples per second that the model takes."""
HEIGHTS = {"high": 1500.0, "low": 200.0, "middle": 600.0}
"""Name -> cycles per second."""


def tone(name: str, generator: np.random.Generator, *, rate: int = RATE, seconds: float = 0.15) -> NDArray[np.float32]:
    """A tone of about so many seconds, of some loudness, with noise."""
    time = np.arange(int(rate * seconds * generator.uniform(0.7, 1.3))) / rate
    wave = np.sin(2 * np.pi * HEIGHTS[name] * generator.uniform(0.9, 1.1) * time + generator.uniform(0, 6))
    return (generator.uniform(0.2, 0.9) * wave + generator.normal(0, 0.02, len(time))).astype(np.float32)


def save_tones(folder: Path, *, rate: int = RATE) -> Path:
    """An audiofolder: split/class/number.wav"""
    generator = np.random.default_rng(0)
    for split, count in (("train", 60), ("validation", 20), ("test", 20)):
        for name in HEIGHTS:
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                soundfile.write(folder / split / name / f"{number}.wav", tone(name, generator, rate=rate), rate)
    return folder


def listener_config(**settings: object) -> Wav2Vec2Config:
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": (16, 16),
        "conv_kernel": (16, 8),
        "conv_stride": (8, 4),
        "num_feat_extract_layers": 2,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 4,
        "classifier_proj_size": 32,
        "mask_time_prob": 0.0,
        "layerdrop": 0.0,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "feat_proj_dropout": 0.0,
        "vocab_size": 32,
        "initializer_range": 0.1,
    }
    return Wav2Vec2Config(**{**sizes, **settings})


def save_listener(folder: Path) -> Path:
    """An encoder of waveforms with random weights, and its feature extractor."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Wav2Vec2Model(listener_config()).save_pretrained(folder)
    settings = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": RATE,
        "do_normalize": True,
        "padding_value": 0.0,
        "return_attention_mask": False,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def save_speaker(folder: Path) -> Path:
    """An encoder of waveforms with random weights, its feature extractor, and a tokenizer of capital letters."""
    save_listener(folder)
    vocabulary = {token: number for number, token in enumerate(("<pad>", "<unk>", "|", "H", "L", "M"))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder
