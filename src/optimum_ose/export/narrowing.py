"""Leaves out of an ONNX graph what is computed for tokens that its head never reads.

A classifier reads the first token of the last layer. Of the other tokens that layer's keys and values matter, but not
its queries, its attention output and its feed-forward part. The shallower the network, the larger their share.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

Constants = Mapping[str, NDArray[np.int64]]
Shapes = Mapping[str, list[int | str]]
"""Sizes of each dimension, or their names."""
_TOKENS = 1
"""Axis of the tokens in (batch, tokens, width)."""
_ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Sum", "Min", "Max", "Identity", "Cast"),
    *("Erf", "Tanh", "Gelu", "Relu", "Sigmoid", "Softplus", "Sqrt", "Neg", "Exp"),
}


def narrow_to_read_tokens(model: ModelProto) -> int:
    """Cut the tokens that nothing reads from the graph, in place; every output stays what it was.

    The tokens of a head that reads the first one alone are followed upwards, operator by operator; at an operator that
    is not known, or whose output others read whole, they are cut. Graphs with branches or loops are left alone.

    Args:
        model: an exported graph with inputs (batch, tokens).

    Returns:
        How many operators now compute a single token; 0: the graph reads every token.
    """
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        return 0
    _copy_leading_sizes(model, _shapes(model))
    count = _Narrowing(model).run()
    _drop_unused(model)
    return count


def _copy_leading_sizes(model: ModelProto, shapes: Shapes) -> None:
    """Let reshapes of (batch, tokens, ...) to (batch, tokens, ...) copy these two sizes, not take them elsewhere.

    Attention takes them from its layer's input when it splits the heads, and again when it merges them: a reshape of
    (batch, tokens, heads, size) to three dimensions after a transposition.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    constants = _constants(model)
    for node in model.graph.node:
        shape = producers.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or shape.op_type != "Concat" or len(shape.input) < 3:
            continue
        tail = [constants.get(name) for name in shape.input[2:]]
        taken = [_size_taken(name, producers, constants) for name in shape.input[:2]]
        before, after = shapes.get(node.input[0], []), shapes.get(node.output[0], [])
        kept = len(before) > 2 and "" not in before[:2] and before[:2] == after[:2]
        source = producers.get(node.input[0])
        merged = len(before) == 4 and len(shape.input) == 3 and source is not None and source.op_type == "Transpose"
        if taken == [0, 1] and (kept or merged) and all(value is not None for value in tail):
            sizes = np.concatenate([[0, 0], *[np.ravel(value) for value in tail if value is not None]]).astype(np.int64)
            name = f"{node.output[0]}_sizes"
            model.graph.initializer.append(numpy_helper.from_array(sizes, name))
            node.input[1] = name


class _Narrowing:
    """One pass from the outputs to the inputs. `wanted[t]` lists who reads only the first entry of t, on which axis."""

    def __init__(self, model: ModelProto) -> None:
        self.graph = model.graph
        self.constants = _constants(model)
        self.ranks = {name: len(shape) for name, shape in _shapes(model).items()}
        self.num_readers: dict[str, int] = defaultdict(int)
        for name in [*(name for node in self.graph.node for name in node.input), *(o.name for o in self.graph.output)]:
            self.num_readers[name] += 1
        self.wanted: dict[str, list[tuple[NodeProto, int, int]]] = defaultdict(list)

    def run(self) -> int:
        """Narrow what can be narrowed; cut where it ends. The number of narrowed operators."""
        count = 0
        for node in reversed(list(self.graph.node)):
            if self._reads_first_token(node):
                self.wanted[node.input[0]].append((node, 0, _TOKENS))
            demands = self.wanted.get(node.output[0], [])
            axes = {axis for _, _, axis in demands}
            if len(node.output) == 1 and len(axes) == 1 and len(demands) == self.num_readers[node.output[0]]:
                passed = self._passed_on(node, axes.pop())
                if passed is not None:
                    count += 1
                    del self.wanted[node.output[0]]
                    for position, axis in passed:
                        self.wanted[node.input[position]].append((node, position, axis))
        if count:
            self._cut()
        return count

    def _reads_first_token(self, node: NodeProto) -> bool:
        if node.op_type != "Gather" or _attribute(node, "axis", 0) != _TOKENS or self.ranks.get(node.input[0]) != 3:
            return False
        index = self.constants.get(node.input[1])
        return index is not None and index.ndim == 0 and int(index) == 0

    def _passed_on(self, node: NodeProto, axis: int) -> list[tuple[int, int]] | None:
        """Which inputs may be narrowed, and on which axis, for the first entry of the output; None: not known."""
        rank = self.ranks.get(node.output[0])
        ranks = [self.ranks.get(name) for name in node.input]
        if rank is None or None in ranks:
            return None
        from_end, known = axis - rank, [size for size in ranks if size is not None]
        if node.op_type in _ELEMENTWISE:  # an input without this axis is broadcast; of a size of 1, the first is all
            return [(k, size + from_end) for k, size in enumerate(known) if size + from_end >= 0]
        if node.op_type in {"LayerNormalization", "Softmax"} and _attribute(node, "axis", -1) in {-1, rank - 1}:
            return [(0, axis)] if from_end != -1 else None
        if node.op_type == "MatMul" and from_end == -2 and known[0] == rank:
            return [(0, axis)]
        if node.op_type == "Transpose" and node.attribute:
            return [(0, _attribute(node, "perm", None)[axis])]
        if node.op_type == "Reshape" and axis == _TOKENS:
            sizes = self.constants.get(node.input[1])
            copied = sizes is not None and len(sizes) >= 2 and not sizes[:2].any()
            return [(0, axis)] if copied and not _attribute(node, "allowzero", 0) else None
        return None

    def _cut(self) -> None:
        """Put a Slice before every reader that wants less than is computed; one for all readers of the same tensor."""
        produced_at = {name: place for place, node in enumerate(self.graph.node) for name in node.output}
        cuts: dict[int, list[NodeProto]] = defaultdict(list)
        for name, demands in self.wanted.items():
            for axis in sorted({axis for _, _, axis in demands}):
                cut = f"{name}_first_of_{axis}"
                for reader, position, wanted_axis in demands:
                    if wanted_axis == axis:
                        reader.input[position] = cut
                cuts[produced_at.get(name, -1)].append(self._slice(name, cut, axis))
        ordered = [*cuts[-1]]
        for place, node in enumerate(self.graph.node):
            ordered += [node, *cuts[place]]
        del self.graph.node[:]
        self.graph.node.extend(ordered)

    def _slice(self, name: str, cut: str, axis: int) -> NodeProto:
        bounds = {f"{cut}_{word}": value for word, value in (("begin", 0), ("end", 1), ("axis", axis))}
        for bound, value in bounds.items():
            self.graph.initializer.append(numpy_helper.from_array(np.array([value], dtype=np.int64), bound))
        return helper.make_node("Slice", [name, *bounds], [cut], name=cut)


def _size_taken(name: str, producers: Mapping[str, NodeProto], constants: Constants) -> int | None:
    """k, if a tensor is the k-th size of some other: Unsqueeze(Gather(Shape(x), k)); else None."""
    node, index = producers.get(name), None
    for expected in ("Unsqueeze", "Gather"):
        if node is None or node.op_type != expected or len(node.input) < 2:
            return None
        index, node = constants.get(node.input[1]), producers.get(node.input[0])
    return int(index) if node is not None and node.op_type == "Shape" and index is not None else None


def _constants(model: ModelProto) -> Constants:
    """Whole numbers of at most one dimension that the graph holds, by name."""
    tensors = [(tensor.name, tensor) for tensor in model.graph.initializer]
    tensors += [
        (node.output[0], attribute.t)
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    whole = [(name, t) for name, t in tensors if t.data_type == onnx.TensorProto.INT64 and len(t.dims) <= 1]
    return {name: numpy_helper.to_array(tensor) for name, tensor in whole}


def _shapes(model: ModelProto) -> Shapes:
    """Of each tensor for which it can be inferred. Weights stand in as inputs of their shape."""
    graph = model.graph
    weights = [tensor for tensor in graph.initializer if len(tensor.dims) > 1]
    small = [tensor for tensor in graph.initializer if len(tensor.dims) <= 1]
    stand_ins = [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in weights]
    light = helper.make_graph(graph.node, "light", [*graph.input, *stand_ins], graph.output, small)
    inferred = onnx.shape_inference.infer_shapes(
        helper.make_model(light, opset_imports=model.opset_import, ir_version=model.ir_version), data_prop=True
    ).graph
    types = {info.name: info.type.tensor_type for info in [*inferred.value_info, *inferred.input, *inferred.output]}
    shapes: dict[str, list[int | str]] = {tensor.name: list(tensor.dims) for tensor in small}
    for name, found in types.items():
        if found.HasField("shape"):
            shapes[name] = [size.dim_value or size.dim_param for size in found.shape.dim]
    return shapes


def _attribute(node: NodeProto, name: str, default: object) -> Any:
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def _drop_unused(model: ModelProto) -> None:
    """Remove operators and constants that no output needs."""
    graph = model.graph
    needed = {output.name for output in graph.output}
    for position in reversed(range(len(graph.node))):
        if needed & set(graph.node[position].output):
            needed |= set(graph.node[position].input)
        else:
            del graph.node[position]
    for position in reversed(range(len(graph.initializer))):
        if graph.initializer[position].name not in needed:
            del graph.initializer[position]
