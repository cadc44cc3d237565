"""A search space as text."""

from optimum_ose.core.architecture import sizes_in_words
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import UnsupportedModelError


def space_table(space: SearchSpace, *, sequence_length: int) -> str:
    """Axes, constraints, number of architectures, and the exact costs of the smallest and the largest."""
    largest = space.maximum_point
    lines = [f"{axis}: {', '.join(map(str, values))}" for axis, values in space.axes.items()]
    lines += [f"constraint: {constraint.sentence}" for constraint in space.constraints]
    lines.append(f"|Xi| = {len(space)} architectures")
    size = int(space.parameter_size([largest])[0])
    inner = int(space.parameter_size([largest], count_embeddings=False)[0])
    try:
        operations = f"{int(space.multiply_adds([largest], sequence_length=sequence_length)[0]):,} multiply-adds"
    except UnsupportedModelError as error:
        operations = f"multiply-adds unknown ({error.actual})"
    described = sizes_in_words(largest)
    lines.append(
        f"T: {described}: {size:,} parameters ({inner:,} without embeddings), {operations} at {sequence_length} tokens"
    )
    return "\n".join(lines)
