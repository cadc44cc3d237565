"""Comparisons of a winner with all of its rivals on the same rows, which hold at once for the population."""

import math
from collections.abc import Callable
from typing import final

import numpy as np
from numpy.typing import NDArray

from optimum_ose.core.mean_tests import BETTING_SHARE, Moments, clipped, is_rare, positive, smallest_number
from optimum_ose.core.multiplier_bootstrap import MultiplierBootstrap, bonferroni_quantile
from optimum_ose.core.row_errors import RowErrors

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
PairFunction = Callable[[Indices, Array], Array]

_MOST_BOOTSTRAPPED = 64
"""Rivals whose own critical value is computed; the rest have Bonferroni's, which is larger."""
_MOST_JOINT = 20_000
"""Candidates whose joint distribution is drawn; with more of them every critical value is Bonferroni's."""
_NUM_BISECTIONS = 30
_CHUNK = 128


@final
class RowComparison:
    """Compares the winner with its rivals: a value is proven if the mean of their differences is not negative.

    Args:
        sample: errors of all candidates.
        values: shape (C, n); the errors, scaled as the differences use them.
        differences: rivals of shape (k,) and values of shape (k,) -> differences of shape (k, n).
        lower: likewise, the smallest differences that there could have been, shape (k,).
        alpha: accepted probability that any comparison fails.
        seed: of the bootstrap.
    """

    def __init__(
        self,
        sample: RowErrors,
        values: Array,
        differences: PairFunction,
        lower: PairFunction,
        *,
        alpha: float,
        seed: int,
    ) -> None:
        self._usable, self._has_range = sample.is_usable, math.isfinite(sample.highest)
        self._values, self._differences, self._lower = values, differences, lower
        self._alpha, self._seed = alpha, seed
        self._bootstrap_alpha = alpha * (1 - BETTING_SHARE) if self._has_range else alpha
        self._num_others = max(int(self._usable.sum()) - 1, 1)
        self._quantiles: dict[int, float] = {}
        self._bootstrap: MultiplierBootstrap | None = None

    def bound(self, rivals: Indices, *, best: float, trivial: float) -> tuple[float, int | None]:
        """The best value that is proven against every rival, and the rival that decides; None: none does.

        Args:
            rivals: the closest first.
            best: beyond it nothing need be proven.
            trivial: a value that needs no proof.
        """
        value, decisive = best, None
        for begin in range(0, len(rivals), _CHUNK):
            chunk = rivals[begin : begin + _CHUNK]
            failing = chunk[~self._proves(chunk, np.full(len(chunk), value))]
            if not len(failing):
                continue
            self._sharpen(failing)
            proven = self._bisect(failing, trivial=trivial, best=value)
            worst = int(np.argmax(np.abs(proven - best)))
            if abs(proven[worst] - best) > abs(value - best):
                value, decisive = float(proven[worst]), int(failing[worst])
        return value, decisive

    def described(self, rival: int, value: float) -> tuple[bool, float]:
        """Whether a comparison is decided by betting, and the degrees of freedom of its variance."""
        pair = np.array([rival]), np.array([value])
        differences = self._differences(*pair)
        is_betting = self._has_range and bool(is_rare(differences, self._lower(*pair))[0])
        return is_betting, float(Moments.of(clipped(differences)).degrees_of(differences.shape[1])[0])

    def rows_needed(self, rivals: Indices, value: float) -> int | None:
        """About how many rows would prove a value against every rival; None where these rows speak against it."""
        needed = 0.0
        for begin in range(0, len(rivals), _CHUNK):
            chunk = rivals[begin : begin + _CHUNK]
            differences = self._differences(chunk, np.full(len(chunk), value))
            critical = map(float, self._critical(chunk))
            needed = max(needed, *(smallest_number(*pair) for pair in zip(differences, critical, strict=True)))
        return math.ceil(needed) if math.isfinite(needed) else None

    def _bisect(self, rivals: Indices, *, trivial: float, best: float) -> Array:
        low, high = np.full(len(rivals), trivial), np.full(len(rivals), best)
        for step in range(_NUM_BISECTIONS):
            middle = (low + high) / 2 if step else high
            proven = self._proves(rivals, middle)
            low, high = np.where(proven, middle, low), np.where(proven, high, middle)
        return low

    def _proves(self, rivals: Indices, values: Array) -> NDArray[np.bool_]:
        return positive(
            self._differences(rivals, values),
            quantiles=self._critical(rivals),
            lower=self._lower(rivals, values) if self._has_range else None,
            log_threshold=math.log(self._num_others / (self._alpha * BETTING_SHARE)),
        )

    def _critical(self, rivals: Indices) -> Array:
        common = bonferroni_quantile(self._bootstrap_alpha, self._num_others)
        return np.array([self._quantiles.get(int(rival), common) for rival in rivals])

    def _sharpen(self, rivals: Indices) -> None:
        """Compute the rivals' own critical values, as far as that pays."""
        if self._num_others >= _MOST_JOINT:
            return
        if self._bootstrap is None:
            self._bootstrap = MultiplierBootstrap(self._values[self._usable], seed=self._seed)
        place = np.cumsum(self._usable) - 1
        for rival in map(int, rivals[: max(_MOST_BOOTSTRAPPED - len(self._quantiles), 0)]):
            self._quantiles[rival] = self._bootstrap.quantile_against(int(place[rival]), self._bootstrap_alpha)
