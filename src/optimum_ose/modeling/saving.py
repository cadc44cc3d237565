"""Saves tokenizers in the form that transformers 4 and 5 both read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

_GENERIC_CLASS = "PreTrainedTokenizerFast"
"""transformers 5 calls it TokenizersBackend, and still knows the old name."""


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path, *, max_length: int | None = None) -> None:
    """Write the tokenizer's files, so that optimum-onnx, which needs transformers 4, loads them as well.

    Truncation and padding of the last call are left out: the same tokenizer gives the same bytes before and after use.

    transformers 5 writes two things that 4 refuses: a class of its own for tokenizers without one, and the added
    special tokens as a list `extra_special_tokens`.

    Args:
        tokenizer: any tokenizer.
        folder: created if needed.
        max_length: tokens at which texts were cut in training: the files say so, and whoever loads them cuts there;
            None: the tokenizer's own limit stays.

    Raises:
        OSError: if the folder cannot be written or the disk is full.
    """
    if tokenizer.is_fast:  # whatever the last call has left in it
        backend: Any = tokenizer.backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        if max_length is not None:
            backend.enable_truncation(max_length, direction=tokenizer.truncation_side)
    try:
        with _unused(getattr(tokenizer, "backend_tokenizer", None)):
            tokenizer.save_pretrained(folder)
    except Exception as error:
        if type(error) is Exception:  # what the library tokenizers makes of every failure to write
            raise OSError(str(error)) from error
        raise
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = _GENERIC_CLASS
    if isinstance(settings.get("extra_special_tokens"), list):
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
    if max_length is not None:
        settings["model_max_length"] = max_length
    path.write_text(json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _unused(backend: Any) -> Iterator[None]:
    """A fast tokenizer as if nothing had been tokenized with it; its state is put back."""
    truncation, padding = getattr(backend, "truncation", None), getattr(backend, "padding", None)
    if truncation is not None:
        backend.no_truncation()
    if padding is not None:
        backend.no_padding()
    try:
        yield
    finally:
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)
