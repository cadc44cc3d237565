"""Tells the role of a config integer from what it does to the shapes, with Transformers' names as hints."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from optimum_ose.modeling.attributes import Attribute
from optimum_ose.modeling.probing import Effect, is_indexed

Role = Literal["layers", "hidden", "heads", "kv_heads", "intermediate", "other"]
"""What an axis sizes: the depth, the residual stream, attention heads, heads of keys and values, the inner width of a
feed-forward network, or anything else inside the repeated layers."""

_INTERFACE = (
    "beams bin bins bucket buckets chunk class classes context dilation dilations end every factor factors frame "
    "frames freq group groups horizon id ids image images index interval kernel kernels label labels lag "
    "landmarks length lookback max mel mels min norm offset pad padding patch patches period points position "
    "positions queries query resolution sampling scales seq sequence sparsity start step stride strides timesteps "
    "tok token tokens topk version vocab vocabulary window "
)
"""Words in names of integers that fix what goes in and out, or how a sequence or an image is cut up."""
_DEPTH = re.compile(r"layer|depth|block|num_hidden_stages|repeat")
_NOT_DEPTH = re.compile(
    r"size|block_dim|head|hidden_dim|channel|expert|conv_dim|bottleneck|layers_to|per_block$|feat_|conv|adapter"
)
_HEADS = re.compile(r"head")
_NOT_HEADS = re.compile(
    r"dim|size|width|kv|key|value|mamba|index|linear|proj|state|hidden|channel|layer|num_head_groups"
)
_KV_HEADS = re.compile(r"^(num_|n_)?(kv|key_value|\w*kv|\w*key_value)_?(n_)?heads?$|num_kv|n_kv|multi_query_group")
_INNER = re.compile(
    r"intermediate|ffn|ffw|_ff$|^ff_|d_ff|d_inner|n_inner|inner_|mlp|feed_?forward|hidden_dim$|expansion_ratio"
)
_HIDDEN = re.compile(r"hidden|d_model|embed_dim|n_embd|^dim$|width|model_dim|embedding_size|channels|dims?$|planes")
_NOT_HIDDEN = re.compile(r"head_|_d_|conv|rank|expert|state|conv_dim|_head|kv|key|value|qk|^n_group")


def is_interface(attribute: Attribute) -> bool:
    """Whether an integer's name says that it is no architectural parameter."""
    words = set(attribute.name.lower().split("_"))
    return not words.isdisjoint(_INTERFACE.split()) or attribute.name in (
        "num_channels",
        "in_channels",
        "in_chans",
        "num_labels",
    )


def may_be_depth(attribute: Attribute) -> bool:
    """Whether an integer's name speaks of layers."""
    return bool(_DEPTH.search(attribute.name)) and not _NOT_DEPTH.search(attribute.name)


def may_be_heads(attribute: Attribute) -> bool:
    """Whether an integer's name speaks of attention heads."""
    return bool(_HEADS.search(attribute.name)) and not _NOT_HEADS.search(attribute.name)


def may_be_kv_heads(attribute: Attribute) -> bool:
    """Whether an integer's name speaks of heads of keys and values."""
    return bool(_KV_HEADS.search(attribute.name))


def has_standard_name(attribute: Attribute) -> bool:
    """Whether an integer's name speaks of any standard role."""
    speaks = may_be_depth(attribute) or may_be_heads(attribute) or may_be_kv_heads(attribute)
    return speaks or bool(_INNER.search(attribute.name) or _HIDDEN.search(attribute.name))


def may_be_unset(attribute: Attribute) -> bool:
    """Whether an attribute that is None may stand for an architectural integer that the model chooses itself."""
    return may_be_kv_heads(attribute) or bool(re.search(r"n_inner|ffn_|intermediate_size", attribute.name))


def roles_of_scope(effects: Sequence[Effect]) -> Mapping[str, Role]:
    """Config path -> role of every integer of one nested config that sizes or adds tensors inside repeated layers.

    Hidden is what resizes most tensors: the residual stream passes through every layer. A further integer is hidden
    too if it stands on both sides of a tensor, else inner; elements of one list share a role.
    """
    roles: dict[str, Role] = {}
    families: dict[str, list[Effect]] = {}
    for item in effects:
        if item.layered or item.has_settings or item.renamed:
            families.setdefault(item.attribute.name, []).append(item)
    for name, members in list(families.items()):
        found = _by_name(members)
        if found is not None:
            roles |= dict.fromkeys((item.attribute.path for item in members), found)
            del families[name]
    sizing = {name: members for name, members in families.items() if any(item.layered for item in members)}
    main = _main_hidden(sizing)
    for name, members in families.items():
        role = "hidden" if name == main else _secondary(name, members, main, sizing)
        if role is not None:
            roles |= dict.fromkeys((item.attribute.path for item in members), role)
    return roles


def is_ratio(name: str) -> bool:
    """Whether an integer is a multiple of another size rather than a size."""
    return bool(re.search(r"ratio|expan|factor|mult", name))


def _by_name(members: Sequence[Effect]) -> Role | None:
    attribute = members[0].attribute
    if may_be_kv_heads(attribute):
        return "kv_heads"
    return "heads" if may_be_heads(attribute) else None


def _main_hidden(sizing: Mapping[str, Sequence[Effect]]) -> str | None:
    named = {
        name: members
        for name, members in sizing.items()
        if _HIDDEN.search(name) and not _NOT_HIDDEN.search(name) and not _INNER.search(name)
    }
    if "hidden_size" in named:
        return "hidden_size"
    unnamed = {
        n: m for n, m in sizing.items() if not _NOT_HIDDEN.search(n) and not _INNER.search(n) and not is_ratio(n)
    }
    candidates = named or unnamed
    return max(candidates, key=lambda name: _reach(candidates[name]), default=None)


def _reach(members: Collection[Effect]) -> int:
    return len({name for item in members for name in item.changed})


def _secondary(
    name: str, members: Sequence[Effect], main: str | None, sizing: Mapping[str, Sequence[Effect]]
) -> Role | None:
    if name not in sizing:
        return "other" if any(is_layered_name(item) for item in members) else None
    if _INNER.search(name):
        return "intermediate"
    if _NOT_HIDDEN.search(name) or name.startswith("embedding"):
        return "other"
    if _HIDDEN.search(name) and any(item.is_square for item in members):
        return "hidden"
    inner_is_named = any(_INNER.search(other) for other in sizing)
    return "other" if inner_is_named or main is None else "intermediate"


def is_layered_name(item: Effect) -> bool:
    """Whether an integer adds or removes tensors in lists of modules."""
    return any(is_indexed(name) for name in item.renamed)
