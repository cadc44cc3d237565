"""Claims about tau for vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.core.perturbation import VectorPerturbation, median_nearest_neighbor_distance
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

seeds = st.integers(0, 2**32 - 1)


def test_the_spacing_of_a_grid_is_its_step():
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2) * 0.25
    assert median_nearest_neighbor_distance(grid) == pytest.approx(0.25)


def test_repeated_points_do_not_shrink_the_spacing():
    points = np.repeat(np.array([[0.0], [1.0], [2.0]]), 5, axis=0)
    assert median_nearest_neighbor_distance(points) == 1.0


@given(seeds, st.floats(0.01, 100))
def test_the_spacing_grows_with_the_points(seed, factor):
    points = np.random.default_rng(seed).normal(size=(20, 3))
    spacing = median_nearest_neighbor_distance(points)
    assert median_nearest_neighbor_distance(factor * points) == pytest.approx(factor * spacing)


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.ones((4, 2))])
def test_a_set_without_two_different_points_has_no_spacing(points):
    with pytest.raises(InvalidDataError, match=r"two different points; got \d points.* Hand in more training points"):
        median_nearest_neighbor_distance(points)


@given(seeds, st.floats(0, 2), st.floats(0.01, 2), st.floats(0, 1))
def test_every_new_point_lies_between_the_two_radii(seed, least, width, neighbor_share):
    generator = np.random.default_rng(seed)
    points, mistakes = generator.normal(size=(30, 3)), generator.normal(size=(7, 3))
    tau = VectorPerturbation(
        min_distance=least, max_distance=least + width, points_per_mistake=2, neighbor_share=neighbor_share
    )
    new = tau(mistakes, points, generator=generator)
    radii = np.linalg.norm(new - np.repeat(mistakes, 2, axis=0), axis=1) / median_nearest_neighbor_distance(points)
    assert new.shape == (14, 3)
    assert np.all((least - 1e-9 <= radii) & (radii <= least + width + 1e-9))


def test_a_direction_towards_a_neighbor_ends_on_the_line_to_a_training_point():
    points, mistakes = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[-2.0, 0.0]])
    tau = VectorPerturbation(neighbor_share=1.0)
    new = tau(mistakes, points, generator=np.random.default_rng(0))
    assert new[0, 1] == 0
    assert new[0, 0] > -2


def test_a_mistake_that_is_a_training_point_still_moves():
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    tau = VectorPerturbation(min_distance=0.5, points_per_mistake=50, neighbor_share=1.0)
    new = tau(points[:1], points, generator=np.random.default_rng(0))
    assert np.linalg.norm(new, axis=1).min() >= 0.5


def test_images_keep_their_shape():
    generator = np.random.default_rng(0)
    images = generator.normal(size=(6, 3, 4, 4)).astype(np.float32)
    assert VectorPerturbation()(images[:2], images, generator=generator).shape == (2, 3, 4, 4)


@given(seeds)
def test_one_seed_gives_one_result(seed):
    points = np.random.default_rng(1).normal(size=(9, 2))
    one, two = (VectorPerturbation()(points, points, generator=np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "settings",
    [{"min_distance": -1}, {"min_distance": 2}, {"points_per_mistake": 0}, {"neighbor_share": 1.5}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvalidConfigError, match=r"VectorPerturbation needs .*; got .* Change the setting"):
        VectorPerturbation(**settings)
