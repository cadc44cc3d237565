"""Strategies for bad model folders: config, weights and tokenizer files that are edited, renamed, reshaped or gone."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from robustness.bad_inputs import damaged_weights, json_edits, paths_of, values

Edit = Callable[[Path], None]
Weights = dict[str, torch.Tensor]

WEIGHTS = "model.safetensors"
NAMES = ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json")
_EXTRA: Mapping[str, tuple[Any, ...]] = {
    "model_type": ("bert", "gpt2", "t5", "roberta", "albert", "vit", "whisper", "nothing", "", None, 7, ["bert"]),
    "architectures": (["BertModel"], ["GPT2LMHeadModel"], ["NoSuchModel"], [], "BertModel", [None], None, {}),
    "hidden_size": (0, -32, 31, 33, 64, 32.0, "32", None, 10**9, [32], True),
    "num_attention_heads": (0, -1, 3, 5, 32, 64, None, "4", 4.0),
    "num_hidden_layers": (0, -1, 1, 2, 4, 200, None, "3", [3]),
    "intermediate_size": (0, 1, 63, 65, None, "64", 10**9),
    "vocab_size": (0, 1, 10, 43, 10**6, None, "43", -1),
    "max_position_embeddings": (0, 1, 4, 8, 31, 33, -1, None, "32", 1e3),
    "hidden_act": ("gelu", "none", "", None, 3, "relu", "gelu_python", {}),
    "id2label": ({}, {"0": "a"}, {"0": "a", "1": "a", "2": "a"}, {"x": "a"}, ["a", "b", "c"], None, "a", {"5": "b"}),
    "label2id": ({}, {"a": 0}, {"animals": 0, "food": 0, "tools": 0}, {"animals": 7}, None, ["a"], {"animals": "0"}),
    "num_labels": (0, 1, 2, 4, -1, "3", None, 10**6),
    "problem_type": ("regression", "multi_label_classification", "strange", "", 7, None, []),
    "pad_token_id": (-1, 43, 10**6, None, "0", 1.5, [0]),
    "type_vocab_size": (0, 1, 3, None, "2"),
    "torch_dtype": ("float16", "bfloat16", "int8", "float99", 7, None, ""),
    "dtype": ("float16", "float64", "int8", "float99", 7, None, ""),
    "initializer_range": (-1.0, None, "x", 1e300),
    "layer_norm_eps": (-1.0, 0, None, "x"),
    "quantization_config": (
        {},
        {"quant_method": "gptq"},
        {"quant_method": "bitsandbytes"},
        {"quant_method": 3},
        "x",
        [],
    ),
    "auto_map": ({"AutoModel": "code.Model"}, {"AutoConfig": "code.Config"}, {}, "x", [1]),
    "is_decoder": (True, "yes", 1, None),
    "use_cache": (False, "no", None),
    "attn_implementation": ("eager", "flash_attention_2", "nothing", 3),
    "_attn_implementation": ("flash_attention_2", "nothing", 3),
    "tie_word_embeddings": (True, "x", None),
    "chunk_size_feed_forward": (1, 7, -1, "x"),
    "pruned_heads": ({"0": [0]}, {"0": [0, 1, 2, 3]}, {"9": [0]}, [1], "x"),
    "position_embedding_type": ("relative_key", "nothing", None),
    "classifier_dropout": (2.0, -1, "x", None),
    "transformers_version": ("99.0", 3, None),
}
"""Keys of a config, and values that fit badly or not at all."""
_TOKENIZER_EXTRA: Mapping[str, tuple[Any, ...]] = {
    "tokenizer_class": ("BertTokenizer", "GPT2Tokenizer", "T5Tokenizer", "NoSuchTokenizer", "", None, 3, ["x"]),
    "model_max_length": (0, 1, 8, -1, None, "32", 1e30, 10**30, 1.5),
    "pad_token": (None, "", "cat", 3, {"content": "[PAD]"}, ["[PAD]"]),
    "padding_side": ("left", "middle", None, 3),
    "truncation_side": ("left", "middle", None, 3),
    "added_tokens_decoder": ({}, {"0": "x"}, {"x": {}}, {"99999": {"content": "new"}}, None, []),
    "extra_special_tokens": ({}, [], {"a": "b"}, {"a": 3}, "x"),
    "auto_map": ({"AutoTokenizer": ["code.T", None]}, "x", []),
    "model_input_names": ([], ["input_ids"], ["strange"], "x", None),
    "do_lower_case": (True, "x", None),
}


def _settings(name: str, choices: Mapping[str, tuple[Any, ...]]) -> st.SearchStrategy[Edit]:
    """One to three keys of a JSON file get values of the table."""

    def written(found: Mapping[str, Any]) -> Edit:
        def edit(folder: Path) -> None:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
            (folder / name).write_text(json.dumps({**content, **found}), encoding="utf-8")

        return edit

    pairs = st.sampled_from([(key, value) for key, found in choices.items() for value in found])
    return st.lists(pairs, min_size=1, max_size=3).map(dict).map(written)


def _on_file(name: str, edits: st.SearchStrategy[Edit]) -> st.SearchStrategy[Edit]:
    return edits.map(lambda edit: lambda folder: edit(folder / name))


def _missing() -> st.SearchStrategy[Edit]:
    """A file that is gone, a folder, a link that leads nowhere or to itself, or another file's content."""

    def edit(name: str, how: str, other: str) -> Edit:
        def change(folder: Path) -> None:
            path, content = folder / name, (folder / other).read_bytes()
            path.unlink()
            if how == "folder":
                path.mkdir()
            elif how == "link":
                path.symlink_to("nowhere")
            elif how == "loop":
                path.symlink_to(name)
            elif how == "swapped":
                path.write_bytes(content)

        return change

    hows = st.sampled_from(("gone", "folder", "link", "loop", "swapped"))
    return st.builds(edit, st.sampled_from(NAMES), hows, st.sampled_from(NAMES))


def _renamed(weights: Weights, name: str, to: str) -> Weights:
    return {(to if key == name else key): value for key, value in weights.items()}


_TENSOR_EDITS: Mapping[str, Callable[[Weights, str], Weights]] = {
    "dropped": lambda weights, name: {key: value for key, value in weights.items() if key != name},
    "renamed": lambda weights, name: _renamed(weights, name, f"{name}_old"),
    "gamma": lambda weights, name: _renamed(weights, name, name.replace("LayerNorm.weight", "LayerNorm.gamma")),
    "nameless": lambda weights, name: _renamed(weights, name, ""),
    "control": lambda weights, name: _renamed(weights, name, "\x1b[2J\u2028" + name),
    "extra": lambda weights, name: {**weights, f"{name}.extra": weights[name].clone()},
    "shorter": lambda weights, name: {**weights, name: weights[name][:-1].contiguous()},
    "empty": lambda weights, name: {**weights, name: weights[name][:0].contiguous()},
    "flat": lambda weights, name: {**weights, name: weights[name].flatten()},
    "turned": lambda weights, name: {**weights, name: weights[name].t().contiguous()},
    "doubled": lambda weights, name: {**weights, name: torch.cat([weights[name]] * 2)},
    "scalar": lambda weights, name: {**weights, name: torch.tensor(1.0)},
    "nan": lambda weights, name: {**weights, name: torch.full_like(weights[name], float("nan"))},
    "infinite": lambda weights, name: {**weights, name: torch.full_like(weights[name], float("inf"))},
    "zero": lambda weights, name: {**weights, name: torch.zeros_like(weights[name])},
    "huge": lambda weights, name: {**weights, name: weights[name] * 1e30},
    "whole": lambda weights, name: {**weights, name: weights[name].to(torch.int32)},
    "bytes": lambda weights, name: {**weights, name: weights[name].to(torch.uint8)},
    "half": lambda weights, name: {**weights, name: weights[name].half()},
    "double": lambda weights, name: {**weights, name: weights[name].double()},
    "eighth": lambda weights, name: {**weights, name: weights[name].to(torch.float8_e4m3fn)},
    "boolean": lambda weights, name: {**weights, name: weights[name] > 0},
    "prefixed": lambda weights, _: {f"module.{key}": value for key, value in weights.items()},
    "strange prefix": lambda weights, _: {f"what.{key}": value for key, value in weights.items()},
    "two prefixes": lambda weights, name: _renamed(weights, name, f"module.{name}"),
    "adapter": lambda weights, name: _renamed(weights, name, f"base_model.model.{name}.lora_A.default"),
    "none": lambda _weights, _name: {},
}


def _tensors(names: tuple[str, ...]) -> st.SearchStrategy[Edit]:
    """One or two tensors of a safetensors file are renamed, reshaped, retyped, filled or dropped."""

    def written(changes: list[tuple[str, str]]) -> Edit:
        def edit(folder: Path) -> None:
            weights = load_file(folder / WEIGHTS)
            for how, name in changes:
                if name in weights:
                    weights = _TENSOR_EDITS[how](weights, name)
            save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

        return edit

    return st.lists(
        st.tuples(st.sampled_from(sorted(_TENSOR_EDITS)), st.sampled_from(names)), min_size=1, max_size=2
    ).map(written)


def _other_checkpoints() -> st.SearchStrategy[Edit]:
    """Weights in another form that is damaged: a pickle, an index of shards, an adapter."""

    def edit(name: str, content: bytes, keeps: bool) -> Edit:
        def change(folder: Path) -> None:
            if not keeps:
                (folder / WEIGHTS).unlink()
            (folder / name).write_bytes(content)

        return change

    names = st.sampled_from(
        (
            *("pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json"),
            *("adapter_config.json", "adapter_model.safetensors", "tf_model.h5", "flax_model.msgpack"),
            *("generation_config.json", "special_tokens_map.json", "added_tokens.json", "preprocessor_config.json"),
            *("chat_template.jinja", "vocab.txt", "quantize_config.json"),
        )
    )
    contents = st.sampled_from(
        (
            *(b"", b"{}", b"[]", b"null", b"x", b"\x80\x04N.", b'{"a": 1}', b"\xff\xfe"),
            *(
                b'{"weight_map": {}}',
                b'{"weight_map": {"a": "model-1.safetensors"}, "metadata": {}}',
                b'{"weight_map": 3}',
            ),
            *(
                b'{"weight_map": {"a": "../../x.safetensors"}}',
                b'{"peft_type": "LORA", "base_model_name_or_path": "x"}',
            ),
            b"cos\nsystem\n(S'true'\ntR.",
        )
    )
    return st.builds(edit, names, contents, st.booleans())


def model_edits(source: Path) -> st.SearchStrategy[Edit]:
    """Edits of a copy of a model folder.

    Args:
        source: the folder as it was saved.
    """
    tensors = _tensors(tuple(sorted(load_file(source / WEIGHTS))))
    blind = [
        _on_file(name, json_edits(paths_of(json.loads((source / name).read_text(encoding="utf-8")))))
        for name in NAMES
        if name != WEIGHTS
    ]
    strange = st.dictionaries(st.sampled_from(sorted(_EXTRA)), values(), min_size=1, max_size=2).map(
        lambda found: _written("config.json", found)
    )
    return st.one_of(
        _settings("config.json", _EXTRA),
        _settings("tokenizer_config.json", _TOKENIZER_EXTRA),
        tensors,
        tensors,
        _on_file(WEIGHTS, damaged_weights()),
        _missing(),
        _other_checkpoints(),
        strange,
        *blind,
    )


def _written(name: str, found: Mapping[str, Any]) -> Edit:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**content, **found}, default=str), encoding="utf-8")

    return edit
