"""Finds depths that no tensor shows: one layer whose weights are used many times, as in ALBERT."""

from torch.utils.flop_counter import FlopCounterMode

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.building import build_on_meta, edit_config
from optimum_ose.modeling.model_inputs import run_example
from optimum_ose.modeling.probing import Prober


def repeats_layers(prober: Prober, path: str, depth: int) -> bool:
    """Whether one layer less leaves all tensors as they are and yet saves operations."""
    fewer, own = prober.build({path: depth - 1}) if depth > 1 else None, prober.build({})
    if fewer is None or own is None or fewer.shapes != own.shapes:
        return False
    try:
        return _operations(prober, path, depth - 1) < _operations(prober, path, depth)
    except UnsupportedModelError:
        return False


def _operations(prober: Prober, path: str, depth: int) -> int:
    model = build_on_meta(edit_config(prober.config, {path: depth}), prober.task)
    with FlopCounterMode(display=False) as counter:
        run_example(model, num_tokens=8)
    return int(counter.get_total_flops())
