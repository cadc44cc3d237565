import numpy as np
import pytest

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.constraints import Divides, require_valid
from optimum_ose.exceptions import InvalidArchitectureError

RULE = Divides(divisor="num_attention_heads", dividend="hidden_size")


def test_divides_holds_exactly_where_there_is_no_remainder():
    columns = {"num_attention_heads": np.array([12, 12, 7]), "hidden_size": np.array([768, 770, 768])}
    assert RULE.holds(columns).tolist() == [True, False, False]
    assert RULE.axes == ("num_attention_heads", "hidden_size")
    assert RULE.sentence == "num_attention_heads divides hidden_size"


def test_an_invalid_architecture_is_told_the_nearest_valid_values():
    with pytest.raises(
        InvalidArchitectureError, match="hidden_size=770 is not a multiple of num_attention_heads=12; .* 768 and 780"
    ):
        require_valid(Architecture(hidden_size=770, num_attention_heads=12), [RULE])


def test_a_valid_architecture_passes():
    require_valid(Architecture(hidden_size=768, num_attention_heads=12), [RULE])


def test_no_multiple_below_means_that_only_the_divisor_is_near():
    assert "nearest multiples: 12" in RULE.violation(Architecture(hidden_size=5, num_attention_heads=12))
