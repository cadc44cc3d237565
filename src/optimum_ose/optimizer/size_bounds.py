"""The user's bounds on the student's size: which candidates keep them."""

import numpy as np
from numpy.typing import NDArray

from optimum_ose.configuration import SearchConfig
from optimum_ose.core.candidates import Candidates
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InfeasibleError


def small_candidates(space: SearchSpace, settings: SearchConfig) -> Candidates:
    """The candidates of the space that are `small_enough`."""
    return space.candidates.take(np.flatnonzero(small_enough(space, settings)))


def small_enough(space: SearchSpace, settings: SearchConfig) -> NDArray[np.bool_]:
    """Whether each candidate of the space keeps `max_parameters` and `max_non_embedding_parameters`, shape (N,).

    Raises:
        InfeasibleError: if none keeps one of them, naming the smallest size that is possible.
    """
    kept = np.ones(len(space), dtype=np.bool_)
    for name, count_embeddings in (("max_parameters", True), ("max_non_embedding_parameters", False)):
        limit = getattr(settings, name)
        if limit is None:
            continue
        sizes = space.parameter_size(space.candidates, count_embeddings=count_embeddings)
        if sizes.min() > limit:
            raise InfeasibleError(
                f"At least one candidate keeps {name}={limit:,}",
                f"the smallest possible size is {sizes.min()}",
                "Raise the bound, or add smaller values to the axes",
            )
        kept &= sizes <= limit
    return kept
