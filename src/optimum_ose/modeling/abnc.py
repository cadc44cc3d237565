"""Checks the AB^nC property of a model type: its embeddings are A, its layers B, what follows them is C."""

from collections.abc import Iterable, Mapping

from transformers import PretrainedConfig

from optimum_ose.core.abnc import Stage, Verdict, check_abnc
from optimum_ose.core.polynomial import Polynomial
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.axes import LAYERS, axis_attributes, derive_axes
from optimum_ose.modeling.axis import apply_values
from optimum_ose.modeling.dimension_map import DimensionMap, TensorMap, derive_dimension_map
from optimum_ose.modeling.operations import ATTENTION, multiply_add_polynomial, multiply_add_terms


def model_abnc(config: PretrainedConfig, task: str | None) -> Verdict:
    """The verdict on a config's model type. Nothing is trained, so smoothness is not measured; the optimizer is ours.

    Raises:
        UnsupportedModelError: if the model type cannot be derived.
    """
    known = derive_axes(config, task)
    config = apply_values(
        config, known, {name: axis.value for name, axis in known.items()}
    )  # n_inner=None gets a value
    dimension_map = derive_dimension_map(config, task)
    tensors = dimension_map.tensors
    operations = _operations(config, task, dimension_map)
    layered = [index for index, tensor in enumerate(tensors) if tensor.is_layered]
    if not layered:
        raise UnsupportedModelError(
            "The AB^nC property is one of models with repeated layers",
            f"model type {config.model_type!r} has no tensor that every layer repeats",
            "Choose a model whose config has num_hidden_layers",
        )
    inner = _stage("each layer", tensors[layered[0] : layered[-1] + 1], operations, also=(ATTENTION,))
    return check_abnc(
        _stage("what precedes the layers", tensors[: layered[0]], operations),
        [inner],
        _stage("what follows the layers", tensors[layered[-1] + 1 :], operations),
        # All layers are counted together; one layer is their sum over the depth, so the depth is held fixed.
        axes=[axis for axis in axis_attributes(config, task) if axis != LAYERS],
        descent="Candidates are trained by AdamW, an adaptive variant; the paper's analysis is of plain SGD.",
    )


def _operations(
    config: PretrainedConfig, task: str | None, dimension_map: DimensionMap
) -> Mapping[str, Polynomial] | None:
    """Multiply-adds by tensor name; None where they cannot be told term by term."""
    axes = {name: derive_axes(config, task)[name] for name in axis_attributes(config, task)}
    try:
        multiply_add_polynomial(config, dimension_map, task=task, axes=axes)  # refuses terms that are not the whole
        return multiply_add_terms(config, dimension_map, task=task)
    except UnsupportedModelError:
        return None


def _stage(
    name: str, tensors: Iterable[TensorMap], operations: Mapping[str, Polynomial] | None, *, also: tuple[str, ...] = ()
) -> Stage:
    names = [tensor.name for tensor in tensors]
    return Stage(
        name=name,
        parameter_size=sum((tensor.polynomial() for tensor in tensors), Polynomial.constant(0)),
        multiply_adds=None
        if operations is None
        else sum((operations[key] for key in (*names, *also) if key in operations), Polynomial.constant(0)),
    )
