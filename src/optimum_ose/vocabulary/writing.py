"""Writes a model with a smaller vocabulary as an ordinary model folder."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import OutputFolderError
from optimum_ose.modeling.saving import save_tokenizer
from optimum_ose.modeling.sentence_folder import MODULES, SETTINGS
from optimum_ose.modeling.source import find_file, read_object
from optimum_ose.output_folder import RUN_FILE, claim_for_export, only_process, writing

REPORT = "ose/trim.json"
_TOKENIZER = "tokenizer.json"
_COPIED = (MODULES, SETTINGS, "config_sentence_transformers.json", "preprocessor_config.json", "LICENSE")
_MODULE_FILES = ("config.json", "model.safetensors", "pytorch_model.bin")
_WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")


def claim_for_trimming(path: Path, *, source: str) -> None:
    """Make the folder if needed; pass if it holds nothing but what `ose trim` or `export` wrote there.

    Raises:
        OutputFolderError: if it holds a run, the model itself or files of somebody else, or cannot be written.
    """
    if (path / RUN_FILE).is_file():
        raise OutputFolderError(
            f"The folder {path} must be empty or hold a trimmed model", "it holds a run", "Choose another folder"
        )
    claim_for_export(path, teacher=source)


def write_trimmed(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    source: str,
    not_stored: Iterable[str] = (),
    report: str,
) -> None:
    """Write a trimmed model file by file, each whole or not at all; the files of a sentence encoder come along.

    Args:
        model: with fewer tokens.
        tokenizer: of these.
        folder: claimed before.
        source: the folder or Hub id of the whole model.
        not_stored: tensors that its files did not hold, and that are not written either.
        report: the content of `ose/trim.json`.

    Raises:
        OutputFolderError: if the folder cannot be written or the disk is full; the files there are whole then.
    """
    temporary = folder / ".saving"
    with only_process(folder), writing(folder, always=True):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            left_out = set(not_stored)
            weights = {name: tensor for name, tensor in model.state_dict().items() if name not in left_out}
            model.save_pretrained(temporary, state_dict=weights)
            save_tokenizer(tokenizer, temporary)
            _keep_cutting(temporary / _TOKENIZER, source, tokenizer)
            _copy_companions(source, temporary)
            (temporary / REPORT).parent.mkdir()
            (temporary / REPORT).write_text(report, encoding="utf-8")
            _replace_all(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _keep_cutting(path: Path, source: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let tokenizer.json cut and pad texts where that of the whole model does."""
    whole = read_object(source, _TOKENIZER) or {}
    cutting: dict[str, Any] = {name: whole.get(name) for name in ("truncation", "padding")}
    if cutting["padding"] is not None:
        index = tokenizer.convert_tokens_to_ids(cutting["padding"]["pad_token"])
        cutting["padding"] = {**cutting["padding"], "pad_id": index}
    if any(cutting.values()):
        content = {**json.loads(path.read_text(encoding="utf-8")), **cutting}
        text = json.dumps(content, ensure_ascii=False)
        Tokenizer.from_str(text)
        path.write_text(text, encoding="utf-8")


def _copy_companions(source: str, folder: Path) -> None:
    modules = find_file(source, MODULES)
    names = list(_COPIED)
    if modules is not None:
        listed = json.loads(modules.read_text(encoding="utf-8"))
        names += [f"{item['path']}/{name}" for item in listed if item.get("path") for name in _MODULE_FILES]
    for name in names:
        path = find_file(source, name)
        if path is not None:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, folder / name)


def _replace_all(temporary: Path, folder: Path) -> None:
    new = {path.name for path in temporary.iterdir()}
    for path in sorted(temporary.rglob("*")):
        target = folder / path.relative_to(temporary)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            path.replace(target)
    for pattern in _WEIGHTS:  # shards of an earlier trimming
        for path in folder.glob(pattern):
            if path.name not in new:
                path.unlink()
