import numpy as np
import pytest

from optimum_ose.core.abnc import Stage, check_abnc
from optimum_ose.core.polynomial import Polynomial
from optimum_ose.exceptions import InvalidArchitectureError

H, LENGTH = Polynomial.variable("hidden_size"), Polynomial.variable("sequence_length")
EMBEDDINGS = Stage(name="embeddings", parameter_size=50_265 * H, multiply_adds=LENGTH * H)
LAYER = Stage(name="layer", parameter_size=12 * H**2, multiply_adds=12 * LENGTH * H**2 + 2 * LENGTH**2 * H)
HEAD = Stage(name="classifier", parameter_size=2 * H, multiply_adds=2 * H)
DENSE_HEAD = Stage(name="pooler", parameter_size=H**2 + H, multiply_adds=H**2)


def test_a_transformer_with_a_linear_head_fulfills_the_cost_condition():
    verdict = check_abnc(EMBEDDINGS, [LAYER, LAYER], HEAD, axes=["hidden_size"])
    assert verdict.cost.status == "holds"
    assert "parameter_size of embeddings has degree 1, below 2 of layer." in verdict.cost.reasons


def test_a_pooler_that_grows_like_a_layer_but_is_smaller_costs_less_and_does_not_vanish():
    verdict = check_abnc(EMBEDDINGS, [LAYER], DENSE_HEAD, axes=["hidden_size"])
    assert verdict.cost.status == "holds"
    assert (
        "parameter_size of pooler has degree 2 as layer, and is smaller: hidden_size^2 beside 12 hidden_size^2."
        in verdict.cost.reasons
    )
    assert verdict.cost.reasons[-1] == "So A and C cost less than each B_i, but do not vanish beside it."


@pytest.mark.parametrize("size", [12 * H**2, 13 * H**2, H**3, H * Polynomial.variable("intermediate_size")])
def test_a_head_that_is_not_smaller_than_a_layer_fails_the_cost_condition(size):
    head = Stage(name="head", parameter_size=size, multiply_adds=H)
    verdict = check_abnc(EMBEDDINGS, [LAYER], head, axes=["hidden_size", "intermediate_size"])
    assert verdict.cost.status == "fails"
    assert any("of head has degree" in reason and "not below 2" in reason for reason in verdict.cost.reasons)


def test_the_cost_condition_is_true_of_numbers_once_the_axes_are_large():
    large = {"hidden_size": np.array([10**6]), "sequence_length": np.array([128])}
    for quantity in ("parameter_size", "multiply_adds"):
        layer = getattr(LAYER, quantity).evaluate(large)
        assert all(getattr(stage, quantity).evaluate(large) < layer for stage in (EMBEDDINGS, HEAD, DENSE_HEAD))


def test_every_inner_stage_counts():
    light = Stage(name="norm", parameter_size=2 * H, multiply_adds=2 * H)
    assert check_abnc(EMBEDDINGS, [LAYER, light], HEAD, axes=["hidden_size"]).cost.status == "fails"


def test_training_conditions_are_declared_or_not_measured_but_never_true():
    verdict = check_abnc(EMBEDDINGS, [LAYER], HEAD, axes=["hidden_size"], descent="AdamW, a variant of SGD.")
    assert verdict.smoothness.status == "not measured"
    assert verdict.descent.status == "declared"
    assert "(3) it is solved by SGD: declared. AdamW, a variant of SGD." in str(verdict)


def test_a_network_without_inner_stages_is_refused():
    with pytest.raises(InvalidArchitectureError, match="at least one inner stage B_i; none came"):
        check_abnc(EMBEDDINGS, [], HEAD, axes=["hidden_size"])


def test_sizes_alone_are_compared_where_operations_are_not_known():
    unknown = [
        Stage(name=stage.name, parameter_size=stage.parameter_size, multiply_adds=None) for stage in (LAYER, HEAD)
    ]
    verdict = check_abnc(EMBEDDINGS, unknown[:1], unknown[1], axes=["hidden_size"])
    assert verdict.cost.status == "holds"
    assert not any("multiply_adds of" in reason for reason in verdict.cost.reasons)
    assert "Only sizes are compared" in verdict.cost.reasons[-1]
