import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.core.architecture import Architecture
from optimum_ose.exceptions import InvalidArchitectureError

AXES = st.dictionaries(st.sampled_from(["a", "b", "vision_config.hidden_size", "d"]), st.integers(1, 10**6), min_size=1)


@given(AXES)
def test_an_architecture_reads_back_as_what_it_was_made_of(axes):
    architecture = Architecture(axes)
    assert dict(architecture) == axes
    assert all(architecture[axis] == getattr(architecture, axis) == value for axis, value in axes.items())
    assert eval(repr(architecture)) == architecture


@given(AXES)
def test_the_order_of_axes_changes_neither_equality_nor_hash(axes):
    backwards = Architecture(dict(reversed(axes.items())))
    assert Architecture(axes) == backwards
    assert hash(Architecture(axes)) == hash(backwards)


@given(AXES)
def test_copies_and_pickles_are_equal(axes):
    architecture = Architecture(axes)
    for twin in (copy.copy(architecture), copy.deepcopy(architecture), pickle.loads(pickle.dumps(architecture))):
        assert twin == architecture
        assert hash(twin) == hash(architecture)


def test_architectures_that_differ_in_a_value_are_unequal():
    assert Architecture(a=1) != Architecture(a=2)
    assert Architecture(a=1) != Architecture(b=1)
    assert Architecture(a=1) == {"a": 1}


def test_architectures_sort_by_their_sorted_axes():
    assert sorted([Architecture(b=1, a=2), Architecture(b=9, a=1)]) == [Architecture(a=1, b=9), Architecture(a=2, b=1)]


def test_numpy_integers_become_plain_ones():
    assert type(Architecture(a=np.int64(3)).a) is int


def test_replace_changes_one_value_and_leaves_the_original():
    architecture = Architecture({"x.y": 2}, a=1)
    assert architecture.replace(a=5) == Architecture({"x.y": 2, "a": 5})
    assert architecture.replace({"x.y": 3})["x.y"] == 3
    assert architecture.a == 1


def test_replace_refuses_an_axis_that_is_not_there():
    with pytest.raises(InvalidArchitectureError, match="Only the axes a can be replaced; b came"):
        Architecture(a=1).replace(b=2)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "4", None, np.float64(2)])
def test_a_value_that_is_not_a_positive_integer_is_refused(value):
    with pytest.raises(InvalidArchitectureError, match="Every axis of an architecture is a positive integer; a="):
        Architecture({"a": value})


def test_an_architecture_without_axes_is_refused():
    with pytest.raises(InvalidArchitectureError, match="names at least one axis"):
        Architecture()


def test_an_architecture_cannot_be_changed():
    architecture = Architecture(a=1)
    with pytest.raises(AttributeError, match=r"replace\(a="):
        architecture.a = 2
    with pytest.raises(AttributeError, match="frozen"):
        del architecture.a
    with pytest.raises(AttributeError, match="no axis 'b'"):
        architecture.b  # noqa: B018
