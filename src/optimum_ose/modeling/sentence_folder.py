"""Folders of the library sentence-transformers: the files that say how the vector of a text is made."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.source import damaged, find_file, read_object
from optimum_ose.serialization import canonical_json
from optimum_ose.tasks.parts.pooling import Pooling, SentencePooling, known_pooling, set_pooling
from optimum_ose.tasks.parts.task import Task
from optimum_ose.wording import listed, reading_fault

MODULES = "modules.json"
"""Lists the modules, in their order."""
SETTINGS = "sentence_bert_config.json"
"""Of the module that runs the model."""
_POOLING_FOLDER, _NORMALIZE_FOLDER = "1_Pooling", "2_Normalize"
FILES = (MODULES, SETTINGS, f"{_POOLING_FOLDER}/config.json")
"""What `write_sentence_files` writes."""
_TRANSFORMER, _POOLING, _NORMALIZE = "Transformer", "Pooling", "Normalize"
_MODES: Mapping[str, Pooling] = {"mean_tokens": "mean", "cls_token": "first", "lasttoken": "last"}
"""Ending of `pooling_mode_...` -> what it means."""
_SHORT: Mapping[str, Pooling] = {"mean": "mean", "cls": "first", "lasttoken": "last"}
"""The same in the later form, `pooling_mode`."""
_REMEDY = "Choose a sentence encoder with one of these poolings"


def read_pooling(source: str, *, revision: str | None = None) -> SentencePooling | None:
    """How a folder or Hub id of sentence-transformers makes the vector of a text; None: it is none.

    Raises:
        InvalidConfigError: if a file is damaged.
        UnsupportedModelError: if it has modules, or a pooling, that students cannot have.
    """
    path = find_file(source, MODULES, revision=revision)
    if path is None:
        return None
    modules = _modules(source, path)
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    pooled = {(_TRANSFORMER, _POOLING), (_TRANSFORMER, _POOLING, _NORMALIZE)}
    if tuple(kinds) not in pooled:
        raise UnsupportedModelError(
            "A sentence encoder must have the modules Transformer, Pooling and perhaps Normalize",
            f"modules.json lists {listed(kinds) or 'none'}",
            _REMEDY,
        )
    name = f"{modules[1]['path']}/config.json"
    settings = read_object(source, name, revision=revision)
    if settings is None:
        raise damaged(source, name, "it is missing")
    return SentencePooling(mode=_mode(settings), normalizes=_NORMALIZE in kinds)


def settle_pooling(config: PretrainedConfig, source: str, task: Task, *, revision: str | None = None) -> int | None:
    """Let the config of an encoder, in place, say how the vector of a text is made: as the modules of its folder or Hub
    id do, else as it says itself, else as the task's default is.

    Returns:
        The tokens at which its folder says that texts are cut, if it says so.

    Raises:
        InvalidConfigError, UnsupportedModelError: as `read_pooling`.
    """
    found = read_pooling(source, revision=revision)
    pooling = found or known_pooling(config) or task.default_pooling
    if pooling is not None:
        set_pooling(config, pooling)
    return None if found is None else text_length(source, revision=revision)


def text_length(source: str, *, revision: str | None = None) -> int | None:
    """The tokens at which a sentence encoder cuts texts; None: its files do not say."""
    found = (read_object(source, SETTINGS, revision=revision) or {}).get("max_seq_length")
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def write_sentence_files(folder: Path, pooling: SentencePooling, *, width: int, max_length: int | None) -> None:
    """Make a model's folder one that sentence-transformers loads.

    Args:
        folder: holds the model and its tokenizer.
        pooling: how the vector of a text is made.
        width: size of the vector.
        max_length: tokens at which texts are cut; None: as the tokenizer says.
    """
    kinds = [(_TRANSFORMER, ""), (_POOLING, _POOLING_FOLDER)]
    kinds += [(_NORMALIZE, _NORMALIZE_FOLDER)] if pooling.normalizes else []
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(kinds)
    ]
    modes = {f"pooling_mode_{ending}": mode == pooling.mode for ending, mode in _MODES.items()}
    others = {"pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False}
    (folder / _POOLING_FOLDER).mkdir(exist_ok=True)
    (folder / MODULES).write_text(json.dumps(modules, indent=2) + "\n", encoding="utf-8")
    (folder / SETTINGS).write_text(canonical_json({"max_seq_length": max_length, "do_lower_case": False}))
    (folder / _POOLING_FOLDER / "config.json").write_text(
        canonical_json({"word_embedding_dimension": width, **modes, **others}), encoding="utf-8"
    )


def _modules(source: str, path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(source, MODULES, f"it is not JSON: {reading_fault(error)}") from error
    is_list = isinstance(content, list) and all(
        isinstance(item, dict) and isinstance(item.get("path"), str) and "type" in item for item in content
    )
    if not is_list:
        raise damaged(source, MODULES, "it must be a list of modules, each with a type and a path")
    found: list[dict[str, Any]] = content
    return found


def _mode(settings: Mapping[str, Any]) -> Pooling:
    """The pooling of a module's settings, in either form.

    Raises:
        UnsupportedModelError: if it is another one, or several are joined.
    """
    named = settings.get("pooling_mode")
    chosen = [name.removeprefix("pooling_mode_") for name, value in settings.items() if value is True]
    chosen = [name for name in chosen if f"pooling_mode_{name}" in settings]
    known = [_MODES[name] for name in chosen if name in _MODES]
    if isinstance(named, str) and named in _SHORT and not chosen:
        return _SHORT[named]
    if len(chosen) != 1 or not known:
        raise UnsupportedModelError(
            "The pooling of a sentence encoder must be one of mean_tokens, cls_token and lasttoken",
            f"its settings name {listed(chosen) or named or 'none'}",
            _REMEDY,
        )
    return known[0]
