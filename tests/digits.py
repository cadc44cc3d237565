"""Real images for tests: scikit-learn's handwritten digits of 8 x 8 pixels, and a tiny ViT that reads them."""

import json
from pathlib import Path

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, Image
from sklearn.datasets import load_digits
from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification

NAMES = [f"digit {number}" for number in range(10)]
"""Names of the classes."""
NUM_TRAINING_ROWS = 1200
_PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 8, "width": 8},
    "do_normalize": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
}


def digits() -> tuple[np.ndarray, np.ndarray]:
    """All images, uint8 of shape (1797, 8, 8), and their classes, in the order in which they were written."""
    bunch = load_digits()
    return (bunch.images * 15.9375).round().astype(np.uint8), bunch.target


def digit_rows(start: int, stop: int) -> Dataset:
    """Rows with the columns `image` and `label`."""
    images, classes = digits()
    features = Features({"image": Image(), "label": ClassLabel(names=NAMES)})
    columns = {"image": list(images[start:stop]), "label": classes[start:stop].tolist()}
    return Dataset.from_dict(columns, features=features)


def vit_config(**changes: object) -> ViTConfig:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    labels = {"id2label": dict(enumerate(NAMES)), "label2id": {name: index for index, name in enumerate(NAMES)}}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return ViTConfig(**{**sizes, **dropout, **labels, "image_size": 8, "patch_size": 4, **changes})


def trained_vit() -> PreTrainedModel:
    """A ViT that has learned to read most digits, in a few seconds; the same at each call."""
    images, classes = digits()
    pixels = torch.from_numpy(images[:NUM_TRAINING_ROWS]).float()[:, None].expand(-1, 3, -1, -1) / 127.5 - 1
    labels = torch.from_numpy(classes[:NUM_TRAINING_ROWS])
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ViTForImageClassification(vit_config())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(12):
        for chosen in torch.randperm(len(labels), generator=generator).split(50):
            model(pixel_values=pixels[chosen], labels=labels[chosen]).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.eval()


def save(model: PreTrainedModel, folder: Path) -> Path:
    """A `from_pretrained` folder of a ViT and its image processor."""
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_PROCESSOR))
    return folder
