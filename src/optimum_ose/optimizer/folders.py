"""Saves model folders so that a kill at any moment leaves every old file whole."""

import shutil
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.modeling.saving import save_tokenizer


def save_into(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a `from_pretrained` folder file by file, each whole or not at all; other files in it stay."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = _written_aside(model, tokenizer, folder / ".saving")
    for path in temporary.iterdir():
        path.replace(folder / path.name)
    temporary.rmdir()


def save_as(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a `from_pretrained` folder that appears whole or not at all, instead of what was there."""
    temporary = _written_aside(model, tokenizer, folder.with_name(f".{folder.name}.tmp"))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _written_aside(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, temporary: Path) -> Path:
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    save_tokenizer(tokenizer, temporary)
    return temporary
