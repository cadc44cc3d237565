"""Derives the search space of a config: axes, default values, constraints and exact costs."""

import math
from collections.abc import Collection, Mapping, Sequence

from transformers import PretrainedConfig

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.constraints import Constraint, Divides
from optimum_ose.core.costs import CostModel
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.guards import require_kind
from optimum_ose.modeling.axes import derive_axes, require_known
from optimum_ose.modeling.axis import Axis
from optimum_ose.modeling.counting import ParameterCount, SizeModel
from optimum_ose.modeling.feasibility import Settled, settle
from optimum_ose.modeling.grids import MIN_CANDIDATES, default_values, head_sizes
from optimum_ose.modeling.interpolation import interpolate
from optimum_ose.modeling.operations import OperationCount
from optimum_ose.modeling.probing import Prober
from optimum_ose.modeling.rules import HeadSize


def derive_search_space(
    config: PretrainedConfig, *, task: str | None = None, **axes: int | Sequence[int]
) -> SearchSpace:
    """The search space of a config: every valid architecture at most as large as the config itself.

    Axes are found by probing (see `modeling.axes`), and so are the rules between them (see `modeling.feasibility`).
    Default values: every depth up to eight, else eight at equal ratios; widths at fixed shares of the config's, rounded
    to whole heads; inner widths at fixed shares, rounded to multiples of 8; fewer of each where there are many axes.
    Heads keep their size, unless the user chooses the values of the width or of the heads; then any number of heads
    that divides the width is valid. Axes without a standard role vary if the user names them, or if the others give
    hardly any candidates.

    Parameters are counted by a polynomial where one was verified at every value of every axis and on candidates drawn
    at random, else by building each architecture that is asked for; multiply-adds likewise.

    Args:
        config: a Transformers config; it becomes the maximum point T.
        task: counts the head of this task too; None counts the bare `AutoModel`.
        **axes: values of an axis instead of the default ones; a single integer fixes it. Axes whose names are no
            identifiers are given as `**{"vision_config.hidden_size": (256, 512)}`.

    Raises:
        UnsupportedModelError: if the model cannot be built, or no axis can be derived.
        InvalidArchitectureError: for an axis that the config does not have, or a value beyond the config's.
        InfeasibleError: if no combination of the values is valid.
    """
    require_kind(config, PretrainedConfig, "config", "Load one: transformers.AutoConfig.from_pretrained(folder)")
    known = derive_axes(config, task)
    require_known(config, known, axes)
    selected = _selected(known, axes)
    tied = {pair: size for pair, size in head_sizes(selected).items() if not set(pair) & set(axes)}
    values = default_values(selected, tied)
    for axis, chosen in axes.items():
        values[axis] = (chosen,) if isinstance(chosen, int) else tuple(int(value) for value in chosen)
    prober = Prober(config, task)
    settled = settle(
        prober,
        selected,
        values,
        _constraints(selected, tied),
        formula=interpolate(prober, selected, values, head_sizes=tied),
        chosen=axes,
    )
    if not axes and all(len(kept) == 1 for kept in settled.values.values()):
        raise UnsupportedModelError(
            f"model type {config.model_type!r} must have a config integer that can be made smaller",
            f"none of {', '.join(selected)} can",
            "Give values of an axis, or choose another model",
        )
    return _space(config, task, selected, settled, tied)


def _selected(known: Mapping[str, Axis], chosen: Collection[str]) -> dict[str, Axis]:
    """Axes with a standard role and those that the user names; all, if these are few."""
    selected = {name: axis for name, axis in known.items() if axis.role != "other" or name in chosen}
    tied = head_sizes(selected)
    followers = {heads for _, heads in tied}
    defaults = default_values(selected, tied)
    size = math.prod(len(values) for axis, values in defaults.items() if axis not in followers)
    return selected if selected and size >= MIN_CANDIDATES else dict(known)


def _constraints(axes: Mapping[str, Axis], tied: Mapping[tuple[str, str], int]) -> tuple[Constraint, ...]:
    """Heads divide the width, or keep their size; heads of keys and values divide the heads."""
    rules: list[Constraint] = []
    for hidden, heads in head_sizes(axes):
        size = tied.get((hidden, heads))
        rules.append(HeadSize(size, hidden, heads) if size else Divides(divisor=heads, dividend=hidden))
    for shared in axes.values():
        partners = [axis for axis in axes.values() if axis.role == "heads" and axis.scope == shared.scope]
        if shared.role == "kv_heads" and partners and partners[0].value % shared.value == 0:
            rules.append(Divides(divisor=shared.name, dividend=partners[0].name))
    return tuple(rules)


def _space(
    config: PretrainedConfig,
    task: str | None,
    axes: Mapping[str, Axis],
    settled: Settled,
    tied: Mapping[tuple[str, str], int],
) -> SearchSpace:
    ordered = {name: axes[name] for name in sorted(axes)}
    model = SizeModel(config, task, ordered, settled.values, head_sizes=tied, formula=settled.formula)
    return SearchSpace(
        settled.values,
        maximum_point=Architecture({name: axis.value for name, axis in axes.items()}),
        constraints=settled.constraints,
        cost_model=CostModel(
            embedding_parameters=ParameterCount(model=model, in_embeddings=True),
            other_parameters=ParameterCount(model=model, in_embeddings=False),
            multiply_adds=OperationCount(config, task, ordered),
        ),
    )
