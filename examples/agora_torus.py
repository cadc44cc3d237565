"""Agora on the article's torus: an annulus in the plane, and a training set that does not represent it.

D holds 150 points of one quarter of the plane, labeled by whether they lie on the annulus. Three learners study it: a
small network, the nearest neighbors, and a near-random one, twenty trees whose every cut is drawn at random. In each
round Agora finds their mistakes on a development set, samples around them, asks a labeler and adds the points to D. In
the end all three know the annulus, and the Betti numbers of the points of D on it are those of the annulus.

    python examples/agora_torus.py --output out/agora_torus

writes a picture per round and one animation. The article tells the story; that the plane is a square, the sizes, radii
and learners are ours. Needs the extras `report` and `topology`.
"""

import argparse
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from optimum_ose import run_agora
from optimum_ose.core.agora import EstimatorLearner
from optimum_ose.core.agora_report import AgoraRound
from optimum_ose.core.perturbation import VectorPerturbation
from optimum_ose.core.topology import betti_numbers

Array = NDArray[np.float64]
INNER, OUTER, HALF_SIDE = 1.0, 2.0, 2.5
NUM_POINTS = {"train": 150, "development": 12_000, "labeler": 12_000, "test": 20_000}
GRID_SIZE = 160
TAU = VectorPerturbation(points_per_mistake=4, max_distance=4.0)
LEARNERS: dict[str, tuple[Any, tuple[dict[str, Any], ...]]] = {
    "small network": (
        MLPClassifier((32, 32), solver="lbfgs", max_iter=300),
        ({"random_state": 0}, {"random_state": 1}),
    ),
    "nearest neighbors": (KNeighborsClassifier(), ({"n_neighbors": 1}, {"n_neighbors": 3})),
    "random cuts": (ExtraTreesClassifier(20, max_features=1), ({"random_state": 0}, {"random_state": 1})),
}
"""Name -> estimator and Theta."""

REPLAY = 2
"""Each of the |Theta| rounds is repeated twice before Theta is pruned."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What one round shows: D as it was trained on, and what the best model of the round says of the plane."""

    points: Array
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    accuracy: float
    betti: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """What became of one learner."""

    scenes: tuple[Scene, ...]
    labeler_accuracy: float
    accuracy_before: float
    accuracy: float
    betti_before: tuple[int, ...]
    betti: tuple[int, ...]


class WatchedLearner:
    """An `EstimatorLearner` that remembers the trainings of the current round."""

    def __init__(self, estimator: Any) -> None:
        self._learner = EstimatorLearner(estimator)
        self.trainings: list[tuple[Any, Array, NDArray[np.int64]]] = []

    def train(self, points: Array, labels: NDArray[np.int64], *, theta: Any) -> Any:
        """See `Learner`."""
        model = self._learner.train(points, labels, theta=theta)
        self.trainings.append((model, points, labels))
        return model

    def predict(self, model: Any, points: Array) -> NDArray[np.int64]:
        """See `Learner`."""
        return self._learner.predict(model, points)


def main() -> None:
    """Run Agora with every learner, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("out/agora_torus"), help="folder of the pictures")
    parser.add_argument("--seed", type=int, default=0, help="of every draw")
    options = parser.parse_args()
    studies = {name: study(name, options.seed) for name in LEARNERS}
    print(f"{'learner':<18} {'rounds':>6} {'rows of D':>10} {'test accuracy':>19} {'Betti numbers of D':>22}")
    for name, found in studies.items():
        sizes = f"{len(found.scenes[0].points)} -> {len(found.scenes[-1].points)}"
        accuracies = f"{found.accuracy_before:.4f} -> {found.accuracy:.4f}"
        betti = f"{found.betti_before} -> {found.betti}"
        print(f"{name:<18} {len(found.scenes):>6} {sizes:>10} {accuracies:>19} {betti:>22}")
    print(f"the labeler is right on {found.labeler_accuracy:.4f} of the development set; an annulus has (1, 1)")
    options.output.mkdir(parents=True, exist_ok=True)
    draw(studies, options.output)
    print(f"drawn in {options.output}")


def study(name: str, seed: int = 0) -> Study:
    """Agora with one learner; a third set, which steers nothing, is looked at before and after."""
    generators = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]
    train, development, own, test = (
        draw_points(number, generator, quarter=split == "train")
        for (split, number), generator in zip(NUM_POINTS.items(), generators, strict=True)
    )
    timaeus = SVC(gamma=2.0, C=1000.0).fit(own, on_annulus(own))
    estimator, theta = LEARNERS[name]
    learner, scenes = WatchedLearner(estimator), list[Scene]()

    def watch(report: AgoraRound) -> None:
        scenes.append(_scene(learner, report))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the network stops at max_iter, which suffices
        before = learner.train(train, on_annulus(train), theta=theta[0])
        learner.trainings.clear()
        result = run_agora(
            learner,
            timaeus.predict,
            points=train,
            labels=on_annulus(train),
            dev_points=development,
            dev_labels=on_annulus(development),
            perturbation=TAU,
            hyperparameters=theta,
            replay=REPLAY,
            test_points=test,
            test_labels=on_annulus(test),
            betti=_betti_on_annulus,
            seed=seed,
            on_round=watch,
        )
    return Study(
        tuple(scenes),
        labeler_accuracy=result.labeler_accuracy,
        accuracy_before=float(np.mean(before.predict(test) == on_annulus(test))),
        accuracy=result.test_accuracy or 0.0,
        betti_before=scenes[0].betti,
        betti=_betti_on_annulus(result.points, result.labels),
    )


def on_annulus(points: Array) -> NDArray[np.int64]:
    """The truth: 1 on the annulus, 0 beside it."""
    radii = np.linalg.norm(points, axis=1)
    return ((radii > INNER) & (radii < OUTER)).astype(np.int64)


def draw_points(number: int, generator: np.random.Generator, *, quarter: bool = False) -> Array:
    """Points drawn evenly from the square, or from the quarter of it that lies to the right."""
    points = generator.uniform(-HALF_SIDE, HALF_SIDE, (8 * number if quarter else number, 2))
    return points[np.abs(points[:, 1]) < points[:, 0]][:number] if quarter else points


def draw(studies: dict[str, Study], folder: Path) -> None:
    """round-1.png, ... and agora_torus.gif: one panel per learner."""
    last = max(len(found.scenes) for found in studies.values())
    frames = []
    for number in range(last):
        figure = Figure(figsize=(10.5, 4.3), layout="constrained")
        for column, (name, found) in enumerate(studies.items()):
            _draw_scene(figure, found.scenes[min(number, len(found.scenes) - 1)], name=name, column=column)
        figure.suptitle(f"round {number + 1}: dots are D, the ground is what the learner says")
        stream = io.BytesIO()
        figure.savefig(stream, dpi=100)
        (folder / f"round-{number + 1}.png").write_bytes(stream.getvalue())
        frames.append(Image.open(stream).convert("RGB"))
    lengths = [900] * (last - 1) + [2500]
    frames[0].save(folder / "agora_torus.gif", save_all=True, append_images=frames[1:], duration=lengths, loop=0)


def _scene(learner: WatchedLearner, report: AgoraRound) -> Scene:
    best = int(np.argmax(report.accuracies))
    model, points, labels = learner.trainings[best]
    learner.trainings.clear()
    answers = learner.predict(model, _grid()).reshape(GRID_SIZE, GRID_SIZE)
    return Scene(points, labels, answers, report.accuracies[best], report.betti or ())


def _betti_on_annulus(points: Array, labels: NDArray[np.int64]) -> tuple[int, ...]:
    return betti_numbers(points[labels == 1])


def _grid() -> Array:
    ticks = np.linspace(-HALF_SIDE, HALF_SIDE, GRID_SIZE)
    return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)


def _draw_scene(figure: Figure, scene: Scene, *, name: str, column: int) -> None:
    title = f"{name}: {scene.accuracy:.1%} of development\n{len(scene.points)} points, Betti numbers {scene.betti}"
    axes = figure.add_subplot(1, len(LEARNERS), column + 1)
    axes.set_title(title, fontsize=10)
    sides = (-HALF_SIDE, HALF_SIDE, -HALF_SIDE, HALF_SIDE)
    ground = ListedColormap(["#f3e3dc", "#d5e3f0"])
    axes.imshow(scene.answers, extent=sides, origin="lower", cmap=ground, vmin=0, vmax=1)
    for label, color in ((0, "#c0502d"), (1, "#21618c")):
        chosen = scene.points[scene.labels == label]
        axes.plot(chosen[:, 0], chosen[:, 1], ".", color=color, markersize=1.6, alpha=0.7)
    axes.set(xlim=(-HALF_SIDE, HALF_SIDE), ylim=(-HALF_SIDE, HALF_SIDE), xticks=[], yticks=[])


if __name__ == "__main__":
    main()
