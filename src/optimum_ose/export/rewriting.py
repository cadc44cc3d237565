"""Rewrites an exported graph into the form that ONNX Runtime's CPU kernels run fastest. What it computes stays."""

from pathlib import Path

import onnx
from onnx import ModelProto

from optimum_ose.export.graph_files import save_graph
from optimum_ose.export.narrowing import narrow_to_read_tokens


def rewrite_for_runtime(path: Path) -> None:
    """Rewrite an ONNX file in place: see `share_weights`, `narrow_to_read_tokens` and `separate_residuals`.

    Args:
        path: a file that holds its weights, or has them beside it.
    """
    model = onnx.load(path)
    share_weights(model)
    narrow_to_read_tokens(model)
    separate_residuals(model)
    save_graph(model, path)


def share_weights(model: ModelProto) -> int:
    """Let every reader of a copied weight read the weight itself, in place.

    The exporter writes equal weights once and copies them by Identity. The quantizer takes a copy for an activation, so
    that layers which share their weights (ALBERT) stayed in fp32 but for the first.

    Returns:
        How many copies were left out.
    """
    graph = model.graph
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return 0  # a branch or loop may read the copies too
    weights = {tensor.name for tensor in graph.initializer}
    outputs = {output.name for output in graph.output}
    sources: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = sources.get(name, name)
        if node.op_type == "Identity" and node.input[0] in weights and node.output[0] not in outputs:
            sources[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    return len(sources)


def separate_residuals(model: ModelProto) -> int:
    """Turn the addition before each layer norm from Add into Sum, which is the same, in place.

    ONNX Runtime (1.31, CPU) joins Add and LayerNormalization into SkipLayerNormalization, which took seven times as
    long as the two apart for 128 x 1024 numbers: a fifth of the int8 graph of Bort. It does not join what is a Sum.

    Returns:
        How many additions were turned.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    sums = [producers[norm.input[0]] for norm in norms if norm.input[0] in producers]
    residuals = [node for node in sums if node.op_type == "Add"]
    for node in residuals:
        node.op_type = "Sum"
    return len(residuals)
