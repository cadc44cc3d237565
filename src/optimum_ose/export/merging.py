"""A decoder's graph without a past and its graph with one, joined to one file that holds their weights once."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from optimum_ose.export.decoders import is_of
from optimum_ose.export.past import PAST, PRESENT

SWITCH = "use_cache_branch"
"""Input that says whether there is a past: bool of shape (1,)."""
_FIRST, _NEXT = "first", "next"
_SMALLEST_SHARED = 256
"""Numbers of a weight that both graphs share; smaller ones, such as shapes, stay where they are read."""


def merge(first: ModelProto, following: ModelProto) -> ModelProto:
    """One graph, which `use_cache_branch` makes either of two.

    Its inputs are those of both. With a past, the keys and values of what was read are given back as they came.

    Args:
        first: without a past; its outputs are those of the merged graph.
        following: with a past; it gives the keys and values of what was written only.
    """
    weights: dict[str, TensorProto] = {}
    outputs = [item.name for item in first.graph.output]
    branches = [
        _branch(model.graph, prefix, weights, outputs) for model, prefix in ((first, _FIRST), (following, _NEXT))
    ]
    choice = helper.make_node("If", [SWITCH], outputs, name="decoder", then_branch=branches[1], else_branch=branches[0])
    inputs = {item.name: item for model in (first, following) for item in model.graph.input}
    switch = helper.make_tensor_value_info(SWITCH, TensorProto.BOOL, [1])
    graph = helper.make_graph([choice], "decoder", [*inputs.values(), switch], list(first.graph.output))
    graph.initializer.extend(weights.values())
    opsets = {item.domain: item for model in (first, following) for item in model.opset_import}
    version = max(first.ir_version, following.ir_version)
    return helper.make_model(graph, opset_imports=list(opsets.values()), ir_version=version)


def split(merged: ModelProto) -> tuple[ModelProto, ModelProto]:
    """The two graphs that `merge` joined, each with its weights."""
    branches = {item.name: item.g for item in merged.graph.node[0].attribute}
    return _whole(merged, branches["else_branch"]), _whole(merged, branches["then_branch"])


def is_merged(model: ModelProto) -> bool:
    """Whether `merge` made a graph."""
    return any(item.name == SWITCH for item in model.graph.input)


def _branch(graph: GraphProto, prefix: str, weights: dict[str, TensorProto], outputs: Sequence[str]) -> GraphProto:
    """The nodes of a graph under names of their own; its large weights go to those of the whole."""
    names = {item.name: item.name for item in graph.input} | {"": ""}
    own = []
    for tensor in graph.initializer:
        is_shared = np.prod(tensor.dims) >= _SMALLEST_SHARED
        names[tensor.name] = _shared_name(tensor) if is_shared else f"{prefix}/{tensor.name}"
        kept = TensorProto()
        kept.CopyFrom(tensor)
        kept.name = names[tensor.name]
        if is_shared:
            weights.setdefault(kept.name, kept)
        else:
            own.append(kept)
    nodes = [_renamed(node, names, prefix) for node in graph.node]
    kinds = {item.name: int(item.type.tensor_type.elem_type) for item in graph.output}
    for name in outputs:
        if name not in kinds:  # of what was read: as it came
            target = f"{prefix}/{name}"
            nodes.append(helper.make_node("Identity", [name.replace(PRESENT, PAST, 1)], [target], name=target))
    found = [
        helper.make_tensor_value_info(f"{prefix}/{name}", kinds.get(name, TensorProto.FLOAT), None) for name in outputs
    ]
    return helper.make_graph(nodes, prefix, [], found, own)


def _renamed(node: NodeProto, names: Mapping[str, str], prefix: str) -> NodeProto:
    made = NodeProto()
    made.CopyFrom(node)
    made.name = f"{prefix}/{node.name}"
    made.input[:] = [names.get(name, f"{prefix}/{name}") for name in node.input]
    made.output[:] = [f"{prefix}/{name}" if name else "" for name in node.output]
    return made


def _shared_name(tensor: TensorProto) -> str:
    """Weights of the same kind, shape and content have one name."""
    content = hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).hexdigest()[:24]
    return f"weight/{tensor.data_type}/{'x'.join(map(str, tensor.dims))}/{content}"


def _whole(merged: ModelProto, branch: GraphProto) -> ModelProto:
    prefix = f"{branch.name}/"
    own = []
    for tensor in branch.initializer:
        kept = TensorProto()
        kept.CopyFrom(tensor)
        kept.name = tensor.name.removeprefix(prefix)
        own.append(kept)
    nodes = []
    for node in branch.node:
        if (
            node.op_type == "Identity"
            and is_of(node.input[0], "encoder")
            and is_of(node.name.removeprefix(prefix), "encoder")
        ):
            continue
        made = NodeProto()
        made.CopyFrom(node)
        made.name = node.name.removeprefix(prefix)
        made.input[:] = [name.removeprefix(prefix) for name in node.input]
        made.output[:] = [name.removeprefix(prefix) for name in node.output]
        nodes.append(made)
    read = {name for node in nodes for name in node.input}
    written = {name for node in nodes for name in node.output}
    graph = helper.make_graph(
        nodes,
        branch.name,
        [item for item in merged.graph.input if item.name in read],
        [item for item in merged.graph.output if item.name in written],
        [*own, *(tensor for tensor in merged.graph.initializer if tensor.name in read)],
    )
    return helper.make_model(graph, opset_imports=list(merged.opset_import), ir_version=merged.ir_version)


def num_layers(model: ModelProto) -> int:
    """Layers whose keys and values a merged graph takes."""
    return int(np.sum([is_of(item.name, "decoder") and item.name.endswith("key") for item in model.graph.input]))
