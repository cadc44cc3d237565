"""Claims about Betti numbers, on shapes whose pieces and holes are known."""

import sys

import numpy as np
import pytest

from optimum_ose.core.topology import betti_numbers
from optimum_ose.exceptions import InvalidDataError, MissingDependencyError

SEEDS = range(5)


def ring(num_points, seed, *, inner=1.0, outer=2.0, share=1.0):
    """Points drawn evenly from a ring, or from the given share of its round."""
    generator = np.random.default_rng(seed)
    radii = np.sqrt(generator.uniform(inner**2, outer**2, num_points))
    angles = generator.uniform(0, 2 * np.pi * share, num_points)
    return np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])


def circle(num_points, seed):
    return ring(num_points, seed, inner=1.0, outer=1.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_circle_is_one_piece_with_one_hole(seed):
    assert betti_numbers(circle(300, seed)) == (1, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_annulus_is_one_piece_with_one_hole(seed):
    assert betti_numbers(ring(1500, seed)) == (1, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_part_of_an_annulus_and_a_disc_have_no_hole(seed):
    assert betti_numbers(ring(600, seed, share=0.4)) == (1, 0)
    assert betti_numbers(ring(600, seed, inner=0.0)) == (1, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_discs_are_two_pieces(seed):
    disc = ring(600, seed, inner=0.0, outer=1.0)
    assert betti_numbers(np.concatenate([disc, disc + np.array([5.0, 0.0])])) == (2, 0)


def test_an_uneven_density_changes_nothing():
    dense = ring(3000, 0, share=0.25)
    assert betti_numbers(np.concatenate([dense, ring(600, 1)])) == (1, 1)


def test_scale_rotation_and_repeated_points_change_nothing():
    points = ring(600, 3)
    turned = np.concatenate([points, points]) @ np.array([[0.6, -0.8], [0.8, 0.6]]) * 1e-3
    assert betti_numbers(turned) == betti_numbers(points) == (1, 1)


def test_a_sphere_has_a_void():
    normal = np.random.default_rng(0).normal(size=(600, 3))
    sphere = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    assert betti_numbers(sphere, max_dimension=2, num_landmarks=80) == (1, 0, 1)


def test_images_and_points_of_many_coordinates_are_points_too():
    flat = np.zeros((120, 400))
    flat[:, [3, 77]] = circle(120, 0)
    assert betti_numbers(flat) == betti_numbers(flat.reshape(120, 20, 20)) == (1, 1)


def test_four_corners_of_a_tetrahedron_have_an_answer():
    assert betti_numbers(np.eye(4))[1] == 0


@pytest.mark.parametrize("points", [np.zeros((9, 2)), circle(3, 0)])
def test_too_few_different_points_are_refused(points):
    with pytest.raises(InvalidDataError, match=r"at least four different points; got \d points, .* Hand in more"):
        betti_numbers(points)


def test_without_ripser_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ripser", None)
    with pytest.raises(MissingDependencyError, match=r"need ripser; .* pip install 'optimum-ose\[topology\]'"):
        betti_numbers(circle(30, 0))
