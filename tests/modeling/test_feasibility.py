"""Which candidates build is found out by trying: values are left out, and pairs that fail together become rules."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from transformers import BertConfig

from optimum_ose import Architecture
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.axis import Axis
from optimum_ose.modeling.feasibility import settle
from optimum_ose.modeling.interpolation import interpolate
from optimum_ose.modeling.probing import Build
from optimum_ose.modeling.rules import AtMost, HeadSize, Proportional

AXES = {
    name: Axis(name=name, path=name, role=role, value=value, scope="")
    for name, role, value in (("width", "hidden", 24), ("groups", "other", 6), ("inner", "intermediate", 12))
}
VALUES = {"width": (4, 6, 8, 12, 16, 24), "groups": (2, 3, 4, 6), "inner": (3, 6, 9, 12)}
T = {name: axis.value for name, axis in AXES.items()}


class Workshop:
    """Stands for a prober: builds what a rule allows, with tensors of a given shape."""

    config = BertConfig()
    reason = UnsupportedModelError("it must", "it did not", "Leave it.")

    def __init__(
        self,
        allows: Callable[[Mapping[str, int]], bool],
        shape: Callable[[Mapping[str, int]], tuple[int, ...]] = lambda row: (row["width"], row["inner"]),
    ) -> None:
        self.allows, self.shape = allows, shape

    def build(self, values: Mapping[str, int], lengths: Any = None) -> Build | None:
        row = {**T, **values}
        return Build({"layers.0.weight": self.shape(row)}, frozenset(), frozenset()) if self.allows(row) else None

    def find_example(self, values: Mapping[str, int], lengths: Any) -> bool:
        return False

    def runs(self, values: Mapping[str, int], lengths: Any) -> bool:
        return self.build(values) is not None


def settled(workshop: Workshop) -> Any:
    formula = interpolate(workshop, AXES, VALUES, head_sizes={})  # type: ignore[arg-type]
    return settle(workshop, AXES, VALUES, (), formula=formula, chosen=())  # type: ignore[arg-type]


def test_a_model_without_rules_keeps_all_values_and_its_formula() -> None:
    found = settled(Workshop(lambda row: True))
    assert found.values == VALUES
    assert found.constraints == ()
    columns = {name: np.array([value], dtype=np.int64) for name, value in T.items()}
    assert found.formula.evaluate(columns).tolist() == [[0], [24 * 12]]


def test_a_pair_that_fails_together_becomes_a_rule() -> None:
    found = settled(Workshop(lambda row: row["width"] % row["groups"] == 0))
    assert [rule.sentence for rule in found.constraints] == ["groups divides width"]
    assert found.values["groups"] == (2, 3, 4, 6)


def test_a_value_that_fails_beside_the_largest_others_is_left_out() -> None:
    found = settled(Workshop(lambda row: row["groups"] <= row["inner"]))
    assert found.values["inner"] == (6, 9, 12)
    assert found.values["groups"] == VALUES["groups"]


def test_a_value_that_never_builds_is_left_out() -> None:
    found = settled(Workshop(lambda row: row["inner"] != 9))
    assert found.values["inner"] == (3, 6, 12)
    assert found.constraints == ()


def test_a_formula_that_miscounts_at_many_values_is_dropped_and_no_value_with_it() -> None:
    found = settled(Workshop(lambda row: True, lambda row: (row["width"] ** 2, row["inner"])))
    assert found.formula is None
    assert found.values == VALUES


def test_a_tensor_half_as_wide_as_an_axis_is_counted_exactly() -> None:
    found = settled(Workshop(lambda row: True, lambda row: (row["width"] // 2, row["inner"])))
    columns = {name: np.array(values, dtype=np.int64) for name, values in (("width", (8, 5)), ("inner", (3, 3)))}
    columns["groups"] = np.array([6, 6], dtype=np.int64)
    assert found.formula.evaluate(columns)[1].tolist() == [12, -1]  # half of 5 is no width: that one must be built


def test_a_rule_says_what_is_wrong_and_what_would_fit() -> None:
    row = Architecture(a=6, b=4)
    assert AtMost(smaller="a", larger="b").violation(row) == "a=6 is more than b=4; at most 4 fits"
    ratio = Proportional(axis="a", other="b", numerator=2, denominator=1)
    assert ratio.violation(row) == "a=6 is not to b=4 as 2 to 1; that would be 8"
    assert HeadSize(2, "a", "b").violation(row) == "a=6 is not 2 times b=4; that would be 8"
    columns = {"a": np.array([6, 8]), "b": np.array([4, 4])}
    assert AtMost(smaller="b", larger="a").holds(columns).tolist() == [True, True]
    assert ratio.holds(columns).tolist() == HeadSize(2, "a", "b").holds(columns).tolist() == [False, True]
