"""Claims about Agora's outer loop, on a linear problem whose training set misses half of the plane."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from optimum_ose.core.agora import EstimatorLearner, run_agora
from optimum_ose.core.labeler import check_labeler
from optimum_ose.core.perturbation import VectorPerturbation
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, LabelerError, UntouchedSplitWarning

THETA = tuple({"n_neighbors": number, "p": power} for number in (1, 3, 5) for power in (1, 2))


def rings(points):
    """The truth: inside or outside of a ring of radius 1."""
    return (np.linalg.norm(points, axis=1) < 1).astype(int)


def draw(num_points, seed, half=False):
    points = np.random.default_rng(seed).uniform(-2, 2, size=(num_points, 2))
    return np.abs(points) * [1, -1] if half else points


def agora(**changes):
    points, dev_points, labeler = draw(40, 0, half=True), draw(200, 1), changes.pop("labeler", rings)
    settings = {
        "points": points,
        "labels": rings(points),
        "dev_points": dev_points,
        "dev_labels": rings(dev_points),
        "perturbation": VectorPerturbation(),
        "hyperparameters": THETA,
        "test_points": draw(300, 7),
        "test_labels": rings(draw(300, 7)),
        **changes,
    }
    return run_agora(EstimatorLearner(KNeighborsClassifier()), labeler, **settings)


def test_agora_beats_the_best_of_enumerated_theta_on_untouched_points():
    untouched = draw(1000, 2)
    points = draw(40, 0, half=True)
    enumerated = max(
        np.mean(KNeighborsClassifier(**theta).fit(points, rings(points)).predict(untouched) == rings(untouched))
        for theta in THETA
    )
    result = agora()
    assert np.mean(result.model.predict(untouched) == rings(untouched)) > enumerated + 0.05


def test_each_round_trains_on_what_the_rounds_before_added():
    result = agora()
    sizes = np.cumsum([40, *(report.num_added for report in result.rounds)])
    assert [report.num_points for report in result.rounds] == list(sizes[:-1])
    assert len(result.points) == len(result.labels) == sizes[-1]


def test_new_points_carry_the_labels_of_the_labeler():
    result = agora()
    np.testing.assert_array_equal(result.labels[40:], rings(result.points[40:]))


def test_the_given_arrays_are_left_as_they_are():
    points = draw(40, 0, half=True)
    labels = rings(points)
    agora(points=points, labels=labels)
    np.testing.assert_array_equal(points, draw(40, 0, half=True))
    np.testing.assert_array_equal(labels, rings(points))


def test_development_points_never_enter_the_training_set():
    def repeat_mistakes(mistakes, points, *, generator):
        return np.concatenate([mistakes, mistakes + 0.01])

    result = agora(perturbation=repeat_mistakes)
    added = {tuple(point) for point in result.points[40:].tolist()}
    assert added
    assert not added & {tuple(point) for point in draw(200, 1).tolist()}


def test_every_round_prunes_theta_until_it_is_empty():
    result = agora()
    assert all(report.pruned for report in result.rounds)
    for report, following in zip(result.rounds, result.rounds[1:], strict=False):
        assert len(report.theta) == len(following.theta) + len(report.pruned)
    assert len(result.rounds[-1].theta) == len(result.rounds[-1].pruned)


def test_replay_repeats_each_round_with_the_same_theta():
    result = agora(replay=1)
    for report, repeated in zip(result.rounds[::2], result.rounds[1::2], strict=True):
        assert report.theta == repeated.theta
        assert not report.pruned
        assert repeated.pruned


def test_the_model_returned_is_the_best_of_all_rounds():
    result = agora()
    assert result.accuracy == max(max(report.accuracies) for report in result.rounds)
    assert np.mean(result.model.predict(draw(200, 1)) == rings(draw(200, 1))) == result.accuracy


def test_a_later_and_worse_model_does_not_replace_the_best():
    def lying_about_new_points(points):
        return rings(points) if len(points) == 200 else 1 - rings(points)

    result = agora(labeler=lying_about_new_points, perturbation=VectorPerturbation(points_per_mistake=5))
    assert max(result.rounds[-1].accuracies) < result.accuracy
    assert np.mean(result.model.predict(draw(200, 1)) == rings(draw(200, 1))) == result.accuracy


def test_agora_ends_when_no_mistake_is_left():
    result = agora(points=draw(200, 1), labels=rings(draw(200, 1)))
    assert result.accuracy == 1.0
    assert len(result.rounds) == 1
    assert result.rounds[0].num_added == 0


def test_the_order_of_theta_changes_no_result():
    one, two = agora(), agora(hyperparameters=THETA[::-1])
    assert one.rounds == two.rounds
    np.testing.assert_array_equal(one.points, two.points)


def test_the_seed_decides_the_new_points():
    np.testing.assert_array_equal(agora(seed=3).points, agora(seed=3).points)
    assert not np.array_equal(agora(seed=3).points[40:50], agora(seed=4).points[40:50])


def test_the_listener_hears_every_round():
    heard = []
    assert agora(on_round=heard.append).rounds == tuple(heard)


@pytest.mark.parametrize("changes", [{"hyperparameters": ()}, {"replay": -1}])
def test_an_empty_theta_or_a_negative_replay_is_refused(changes):
    with pytest.raises(InvalidConfigError, match=r"at least one hyperparameter set .*; got .* Pass hyperparameters"):
        agora(**changes)


@pytest.mark.parametrize(
    ("changes", "name"), [({"labels": np.array([])}, "training"), ({"dev_labels": np.array([0])}, "development")]
)
def test_points_without_labels_are_refused(changes, name):
    with pytest.raises(InvalidDataError, match=rf"the {name} set needs one label per point.*; got .* Check that"):
        agora(**changes)


def test_a_labeler_below_two_thirds_is_refused_before_any_training():
    with pytest.raises(LabelerError, match=r"at least 0\.667 of .*; its accuracy there is 0\.\d+\. Train the labeler"):
        agora(labeler=lambda points: (points[:, 0] > 0).astype(int))


def test_a_labeler_of_exactly_two_thirds_suffices():
    assert check_labeler(np.array([0, 1, 0, 1, 0, 1]), np.array([0, 1, 0, 1, 1, 0])) == pytest.approx(2 / 3)


def test_a_labeler_that_only_knows_the_commonest_label_is_refused():
    with pytest.raises(LabelerError, match=r"more than the 0\.900 that always answering the commonest label"):
        check_labeler(np.zeros(10), np.array([0] * 9 + [1]))


def test_a_faultless_labeler_passes_even_where_one_label_is_all_there_is():
    assert check_labeler(np.zeros(3), np.zeros(3)) == 1.0


def test_a_missing_untouched_split_is_told():
    with pytest.warns(UntouchedSplitWarning, match=r"report on a third, untouched set; none was given \(test_points"):
        result = agora(test_points=None)
    assert result.test_accuracy is None
    assert {report.test_accuracy for report in result.rounds} == {None}


def test_the_untouched_split_is_reported_and_steers_nothing():
    result = agora()
    assert result.test_accuracy == np.mean(result.model.predict(draw(300, 7)) == rings(draw(300, 7)))
    assert max(report.test_accuracy for report in result.rounds) >= result.test_accuracy
    other = agora(test_points=draw(50, 8), test_labels=rings(draw(50, 8)))
    np.testing.assert_array_equal(other.points, result.points)


def test_an_untouched_split_without_labels_for_all_its_points_is_refused():
    with pytest.raises(InvalidDataError, match="the test set needs one label per point"):
        agora(test_labels=rings(draw(5, 7)))


def test_the_report_tells_how_many_points_were_made_and_how_many_labels_are_those_of_the_mistakes():
    def repeat_mistakes(mistakes, points, *, generator):
        return np.concatenate([mistakes, mistakes + 1e-9])

    first = agora(perturbation=repeat_mistakes).rounds[0]
    assert first.num_generated == 2 * first.num_added == 2 * first.num_mistakes > 0
    assert first.label_agreement == 1.0
    lying = agora(perturbation=repeat_mistakes, labeler=lambda points: rings(points) ^ (len(points) < 200)).rounds[0]
    assert lying.label_agreement == 0.0


def test_betti_numbers_are_asked_of_each_rounds_training_set():
    result = agora(betti=lambda points, labels: (len(points), int(labels.sum())))
    assert [report.betti[0] for report in result.rounds] == [report.num_points for report in result.rounds]


def test_images_are_points():
    def images(flat):
        return np.concatenate([flat, np.zeros((len(flat), 10))], axis=1).reshape(-1, 3, 2, 2)

    def flat_rings(points):
        return rings(points.reshape(len(points), -1)[:, :2])

    class FlatNeighbors(KNeighborsClassifier):
        def fit(self, points, labels):
            return super().fit(points.reshape(len(points), -1), labels)

        def predict(self, points):
            return super().predict(points.reshape(len(points), -1))

    result = run_agora(
        EstimatorLearner(FlatNeighbors()),
        flat_rings,
        points=images(draw(40, 0, half=True)),
        labels=rings(draw(40, 0, half=True)),
        dev_points=images(draw(200, 1)),
        dev_labels=rings(draw(200, 1)),
        test_points=images(draw(300, 7)),
        test_labels=rings(draw(300, 7)),
        perturbation=VectorPerturbation(),
        hyperparameters=THETA,
    )
    assert result.points.shape[1:] == (3, 2, 2)
    assert len(result.points) > 40
    assert result.test_accuracy > result.rounds[0].test_accuracy


@pytest.mark.parametrize(("variant", "num_rounds"), [("worst", 6), ("half", 3)])
def test_pruning_variants_decide_how_many_rounds_there_are(variant, num_rounds):
    assert len(agora(pruning=variant).rounds) == num_rounds
