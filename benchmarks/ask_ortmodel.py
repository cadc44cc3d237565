"""Owns what optimum-onnx's ORTModel answers: reads {folder, files, texts} from standard input, writes
{file: [{label: score}]} to standard output. `interoperability.py` runs it in an environment with older pins.
"""

import json
import sys
from pathlib import Path

import torch
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer


def main() -> None:
    """Ask every file about every text, one text at a time."""
    asked = json.load(sys.stdin)
    tokenizer = AutoTokenizer.from_pretrained(asked["folder"])
    answers = {}
    for file in asked["files"]:
        model = ORTModelForSequenceClassification.from_pretrained(
            asked["folder"], subfolder="onnx", file_name=Path(file).name
        )
        labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
        answers[file] = []
        for text in asked["texts"]:
            with torch.inference_mode():
                scores = model(**tokenizer(text, return_tensors="pt", truncation=True)).logits[0].softmax(-1)
            answers[file].append(dict(zip(labels, scores.tolist(), strict=True)))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
