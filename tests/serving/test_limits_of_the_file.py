"""What a file can take is found at load: texts are cut to it, whatever the config says or leaves out."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers import PreTrainedModel

from export.tiny_text import BERT_SIZES, save, tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.serving import OnnxPipeline

TABLE = 70
LONG = "the cat sat on a mat " * 30
OFFSET = ("Roberta", "Data2VecText", "Camembert", "MPNet")


def edit(folder: Path, name: str, **values: object) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **values}))


def exported(model: PreTrainedModel, path: Path) -> Path:
    """A folder whose tokenizer tells no limit."""
    tokenizer = tiny_tokenizer(segments=False)
    export_onnx(model, tokenizer, save(model, path, tokenizer=tokenizer))
    edit(path, "tokenizer_config.json", model_max_length=None)
    return path


def model_of(kind: str, pad_token_id: int) -> PreTrainedModel:
    config = getattr(transformers, f"{kind}Config")
    return tiny_classifier(
        config(**{**BERT_SIZES, "max_position_embeddings": TABLE, "pad_token_id": pad_token_id, "num_labels": 3})
    )


@pytest.mark.parametrize(("kind", "pad_token_id"), [*((kind, 1) for kind in OFFSET), ("Roberta", 4), ("Bert", 0)])
def test_a_long_text_is_cut_to_the_table_of_the_file(kind: str, pad_token_id: int, tmp_path: Path) -> None:
    folder = exported(model_of(kind, pad_token_id), tmp_path)
    room = TABLE - (pad_token_id + 1 if kind in OFFSET else 0) - 2
    words = LONG.split()
    for stated in (TABLE, None, 10**6, 1000):
        edit(folder, "config.json", max_position_embeddings=stated)
        served = OnnxPipeline.from_pretrained(folder, num_threads=1)
        longest = served(" ".join(words[:room]), top_k=None)
        assert served(LONG, top_k=None) == longest
        assert served(" ".join(words[: room - 1]), top_k=None) != longest
    edit(folder, "tokenizer_config.json", model_max_length=6)
    assert OnnxPipeline.from_pretrained(folder, num_threads=1)(LONG) == served("the cat sat on")


def test_what_the_model_cannot_take_after_all_fails_alone(folder: Path) -> None:
    served: Any = OnnxPipeline.from_pretrained(folder, num_threads=1)
    served._model.runner.tokenizer.no_truncation()
    pairs = [("a good film", None), (LONG, None)]
    with pytest.raises(InvalidDataError, match=r"able to compute a text of 182 tokens; it fails: .*\. Send another"):
        served.rows(pairs)
    assert len(served.rows(pairs[:1])) == 1
