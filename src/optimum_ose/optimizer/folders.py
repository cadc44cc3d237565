"""Saves model folders so that a kill at any moment leaves every old file whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from optimum_ose.exceptions import OutputFolderError
from optimum_ose.modeling.saving import save_tokenizer
from optimum_ose.modeling.sentence_folder import write_sentence_files
from optimum_ose.preprocessing import Preprocessor
from optimum_ose.tasks.parts.pooling import known_pooling


def save_into(model: PreTrainedModel, tokenizer: Preprocessor, folder: Path, *, max_length: int | None = None) -> None:
    """Write a `from_pretrained` folder file by file, each whole or not at all; other files in it stay.

    Args:
        model: to be saved.
        tokenizer: or image processor, feature extractor, or processor of sounds and texts.
        folder: where to.
        max_length: tokens at which texts are cut; None: as the tokenizer says.

    Raises:
        OutputFolderError: if the folder cannot be written or the disk is full.
    """
    with _written_aside(model, tokenizer, folder / ".saving", max_length) as temporary:
        for path in temporary.iterdir():
            _replace(path, folder / path.name)
        temporary.rmdir()


def save_as(model: PreTrainedModel, tokenizer: Preprocessor, folder: Path, *, max_length: int | None = None) -> None:
    """Write a `from_pretrained` folder that appears whole or not at all, instead of what was there.

    Raises:
        OutputFolderError: if the folder cannot be written or the disk is full.
    """
    with _written_aside(model, tokenizer, folder.with_name(f".{folder.name}.tmp"), max_length) as temporary:
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)


def _replace(source: Path, target: Path) -> None:
    """Move a file, or the files of a folder, over what is there."""
    if not source.is_dir():
        source.replace(target)
        return
    target.mkdir(exist_ok=True)
    for path in source.iterdir():
        _replace(path, target / path.name)
    source.rmdir()


@contextmanager
def _written_aside(
    model: PreTrainedModel, tokenizer: Preprocessor, temporary: Path, max_length: int | None
) -> Iterator[Path]:
    """The files under a temporary name, for the block to rename; nothing is left of them if anything fails."""
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        model.save_pretrained(temporary)
        if isinstance(tokenizer, PreTrainedTokenizerBase):
            save_tokenizer(tokenizer, temporary, max_length=max_length)
            pooling = known_pooling(model.config) if model.base_model is model else None
            if pooling is not None:
                write_sentence_files(temporary, pooling, width=model.config.hidden_size, max_length=max_length)
        else:
            tokenizer.save_pretrained(temporary)
            if isinstance(tokenizer, ProcessorMixin):  # transformers 4 and transformers.js look for a file of its own
                tokenizer.feature_extractor.save_pretrained(temporary)
        yield temporary
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OutputFolderError(
            f"{temporary.parent} must be writable",
            f"writing it failed: {getattr(error, 'strerror', None) or error}",
            "Free disk space, or choose a folder that you may write to",
        ) from error
