"""Makes a tokenizer with some of the tokens of another: the same files, with other ids."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.saving import save_tokenizer
from optimum_ose.vocabulary.merging import Merges, pair_of
from optimum_ose.vocabulary.table import TokenTable
from optimum_ose.wording import listed, shown

_TOKENIZER, _SETTINGS = "tokenizer.json", "tokenizer_config.json"
_KEPT_FILES = (_TOKENIZER, _SETTINGS, "special_tokens_map.json", "chat_template.jinja", "additional_chat_templates")
"""Of a saved tokenizer; the others hold the whole vocabulary in forms of slow tokenizers."""
_GENERIC_CLASS = "PreTrainedTokenizerFast"


def smaller_content(table: TokenTable, kept: Sequence[int]) -> dict[str, Any]:
    """The tokenizer.json of a smaller vocabulary.

    Args:
        table: all tokens.
        kept: their ids, in the order of the new ids.

    Returns:
        It with every id replaced once: those of the vocabulary, of added tokens and of templates. It neither cuts nor
        pads.
    """
    new = {old: index for index, old in enumerate(kept)}
    content: dict[str, Any] = dict(table.content)
    content["model"] = _model(table, new)
    content["added_tokens"] = sorted(
        ({**item, "id": new[item["id"]]} for item in content["added_tokens"]), key=lambda item: int(item["id"])
    )
    content["post_processor"] = _processor(content.get("post_processor"), new)
    return content | {"truncation": None, "padding": None}  # whatever the last call has left there


def smaller_tokenizer(
    tokenizer: PreTrainedTokenizerBase, table: TokenTable, kept: Sequence[int]
) -> PreTrainedTokenizerBase:
    """The tokenizer of a smaller vocabulary, as `AutoTokenizer` loads it from its files.

    Args:
        tokenizer: with all tokens; its padding and truncation are switched off.
        table: of its tokens.
        kept: ids of the tokens that stay, in the order of the new ids.

    Raises:
        UnsupportedModelError: if the libraries give a token another id than it should have.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_tokenizer(tokenizer, folder)
        for path in folder.iterdir():
            if path.name not in _KEPT_FILES:
                path.unlink()
        text = json.dumps(smaller_content(table, kept), ensure_ascii=False)
        (folder / _TOKENIZER).write_text(text, encoding="utf-8")
        _renumber_settings(folder / _SETTINGS, kept)
        expected = {table.tokens[old]: index for index, old in enumerate(kept)}
        _require_ids(Tokenizer.from_str(text).get_vocab(), expected)
        loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
        if loaded.get_vocab() != expected:  # a class that puts tokens of its own around
            _name_class(folder / _SETTINGS, _GENERIC_CLASS)
            loaded = AutoTokenizer.from_pretrained(folder)
        _require_ids(loaded.get_vocab(), expected)
    loaded.name_or_path = tokenizer.name_or_path
    return loaded


def _model(table: TokenTable, new: Mapping[int, int]) -> dict[str, Any]:
    settings = dict(table.settings)
    if table.kind == "Unigram":
        inner = sorted((index for index in table.vocabulary.values() if index in new), key=lambda index: new[index])
        settings["vocab"] = [settings["vocab"][index] for index in inner]
        settings["unk_id"] = None if settings.get("unk_id") is None else new[settings["unk_id"]]
        return settings
    vocabulary = {token: new[index] for token, index in table.vocabulary.items() if index in new}
    settings["vocab"] = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    if table.kind == "BPE":
        merges = Merges.of(table)
        settings["merges"] = [
            entry
            for entry in settings["merges"]
            for pair in [pair_of(entry)]
            if all(token in vocabulary for token in (*pair, merges.joined(*pair)))
        ]
    return settings


def _processor(processor: Any, new: Mapping[int, int]) -> Any:
    """A post-processor with the new ids of the tokens that it puts around texts."""
    if not isinstance(processor, Mapping):
        return processor
    found = dict(processor)
    if "processors" in found:
        found["processors"] = [_processor(item, new) for item in found["processors"]]
    for name in ("sep", "cls"):  # of BertProcessing and RobertaProcessing
        if isinstance(found.get(name), list):
            token, index = found[name]
            found[name] = [token, new[index]]
    if isinstance(found.get("special_tokens"), Mapping):
        found["special_tokens"] = {
            name: {**item, "ids": [new[index] for index in item["ids"]]}
            for name, item in found["special_tokens"].items()
        }
    return found


def _renumber_settings(path: Path, kept: Sequence[int]) -> None:
    """Transformers 4 lists the added tokens in tokenizer_config.json too."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    listed_tokens = settings.get("added_tokens_decoder")
    if listed_tokens:
        new = {old: index for index, old in enumerate(kept)}
        settings["added_tokens_decoder"] = {str(new[int(old)]): item for old, item in listed_tokens.items()}
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _name_class(path: Path, name: str) -> None:
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "tokenizer_class": name}, indent=2, ensure_ascii=False), encoding="utf-8")


def _require_ids(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    if found != expected:
        strange = [token for token in found.keys() | expected.keys() if found.get(token) != expected.get(token)]
        raise UnsupportedModelError(
            "Every token of the smaller vocabulary must have the id of its row",
            f"{len(strange):,} have another once it is loaded: {listed(sorted(map(shown, strange)), limit=3)}",
            "Save the tokenizer again with a current version of transformers, or choose another model",
        )
