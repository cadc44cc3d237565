"""A model that loads and cannot answer is refused when it is loaded, with what its forward pass raised."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from optimum_ose import OSEOptimizer
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.trial import require_answer
from themes import word_tokenizer


def test_a_config_that_only_the_forward_pass_finds_wrong_is_told_at_load(teacher_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(teacher_folder, copy)
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**settings, "chunk_size_feed_forward": None}))
    with pytest.raises(UnsupportedModelError, match=r"must answer texts .* TypeError: '>' not supported"):
        OSEOptimizer.from_pretrained(copy)


def test_a_trial_leaves_the_training_flags_as_they_were(teacher_folder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(teacher_folder).train()
    model.bert.embeddings.eval()
    require_answer(model, word_tokenizer())
    assert model.training
    assert not model.bert.embeddings.training
