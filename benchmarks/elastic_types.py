"""Elastic students of every model type that AutoModel knows, at tiny sizes and with a random teacher T: three claims.

- identity: the view at T's size answers as T does, bit for bit, or within rounding; the row says which;
- counts: the largest, the smallest and a random view have exactly the parameters that the search space says;
- learning: a few steps of AdamW on the sum of these views' losses, each relative to its first value, lower the loss of
  each on the fixed batch. They imitate T; the shared weights are perturbed first, so that the largest has to learn too.

One row per type is appended to the output as soon as it is known; a run that was stopped goes on where it was.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from every_type import (
    ACCEPTANCE,
    SAME_ANSWER,
    TOO_LARGE,
    answer,
    cut_depths,
    edited,
    examine_type,
    find_pairs,
    inherited,
    inputs_of,
    loss_on,
    output_of,
    settle_norms,
    with_gradients,
)
from model_types import one_line, parse, tensors_of, walk

FIELDS = (
    "type", "verdict", "largest", "smallest", "random", "identity", "counts", "output", "before", "after", "steps",
    "reason",
)  # fmt: skip
MAX_TEACHERS = (30_000_000, 180_000_000)
"""Parameters of T: the larger bound holds where no T keeps the first. In memory are about eight numbers for each: T,
the shared weights with gradients, two moments and a copy, and the gradients of a view."""
NUM_STEPS = 4
RECIPES = (("float32", 1e-4), ("float32", 1e-6), ("float64", 1e-6), ("float64", 1e-8))
"""Precision and learning rate of the steps, until all losses fall; see `every_type.STEPS`."""
PERTURBATION = 0.1
"""Standard deviation of what is added to the shared weights, relative to the root mean square of each tensor."""
ROUNDING = 1e-4
"""Largest difference of two answers that is rounding, relative to the largest number in them."""
NUM_DRAWS = 4
"""Random candidates tried, until one runs: a space is only known to run at its smallest."""


def main() -> int:
    """Run the benchmark; the exit code is 1 if a full run falls short."""
    options = parse(__doc__.split("\n\n", maxsplit=1)[0], output="elastic_types.csv", timeout=900)
    rows, is_full = walk(examine, options, fields=FIELDS, detail="identity")
    return summarize(rows, is_full=is_full)


def examine(name: str) -> dict[str, Any]:
    """The row of one model type."""
    return examine_type(name, examine_config)


def examine_config(config: Any) -> dict[str, Any]:
    """The row of one config, but for its type: cut to two layers, or as deep as it is if that does not pass. Spaces of
    deep models take minutes, and T is shallow in any case.
    """
    shallow = edited(config, cut_depths)
    row = {} if shallow is None else examine_space(shallow)
    return row if row.get("verdict") == "passed" else examine_space(config)


def examine_space(config: Any) -> dict[str, Any]:
    """The row of the first pair of sizes in a config's space that passes, else of the first that ran."""
    for most in MAX_TEACHERS:
        row, space, pairs = find_pairs(config, lambda teacher_size, _, most=most: teacher_size <= most)
        if row["reason"] != TOO_LARGE or pairs:
            break
    rows: list[dict[str, Any]] = []
    for large, small in pairs:
        rows.append({"largest": dict(large), "smallest": dict(small)} | examine_sizes(config, space, large, small))
        if rows[-1]["verdict"] == "passed":
            return rows[-1]
    ran = [item for item in rows if not item["reason"].startswith("teacher")]
    return (ran or rows or [row])[0]


def examine_sizes(config: Any, space: Any, large: Any, small: Any) -> dict[str, Any]:
    """The verdict on an elastic student of the teacher's size `large`, with candidates down to `small`."""
    import torch
    from transformers import AutoModel

    from optimum_ose import reconfigure
    from optimum_ose.exceptions import UnsupportedModelError
    from optimum_ose.modeling.model_inputs import run_example

    row: dict[str, Any] = {"verdict": "failed", "reason": ""}
    stage = "teacher"
    try:
        torch.manual_seed(0)
        teacher = AutoModel.from_config(reconfigure(config, large)).float().eval()
        example = run_example(teacher, batch_size=2, num_tokens=16)
        settle_norms(teacher, example.choice)
        target, inputs = answer(teacher, example.choice), inputs_of(teacher, example.choice)
        stage = "student"
        make, shared = elastic_start(teacher, config, large)
        student = make(shared)
        stage = "identity"
        row["identity"] = identity_of(ask(student.view(large), inputs), target)
        stage = "views"
        drawn = runnable(config, space, large, small, student=student, inputs=inputs, choice=example.choice)
        row |= {"random": dict(drawn)}
        views = list(dict.fromkeys((large, small, drawn)))
        row["counts"] = counts_of(student, space, views)
        stage = "learning"
        row |= learning_of(make, shared, views, inputs, target)
    except UnsupportedModelError as error:
        return row | {"verdict": "refused" if stage == "views" else "failed", "reason": f"{stage}: {one_line(error)}"}
    except Exception as error:  # noqa: BLE001 - any failure is a finding of the benchmark
        return row | {"reason": f"{stage}: {one_line(error)}"}
    is_same = row["identity"] in ("exact", "rounding")
    return row | {"verdict": "passed" if is_same and row["counts"] == "exact" and row["has_learned"] else "failed"}


def elastic_start(teacher: Any, config: Any, sizes: Any) -> tuple[Callable[[Any], Any], Any]:
    """What makes an elastic student of shared weights, and the shared weights that the product takes of a teacher at
    its own size: of models without a head all, in their order, for another order of channels were another answer.
    """
    from optimum_ose.elastic.student import ElasticStudent

    make = partial(ElasticStudent, sizes=sizes, task=None, dimension_map=known_map(config), config=config)
    return make, inherited(teacher, config, sizes, sizes)


def known_map(config: Any) -> Any:
    """The dimension map, if students inherit through it."""
    from optimum_ose.exceptions import UnsupportedModelError
    from optimum_ose.modeling.dimension_map import derive_dimension_map
    from optimum_ose.modeling.importance import require_inheritable

    try:
        found = derive_dimension_map(config)
        require_inheritable(found)
    except UnsupportedModelError:
        return None
    return found


def ask(view: Any, inputs: Mapping[str, Any]) -> Any:
    """The answer of a model or view to the fixed batch, without gradients."""
    import torch

    with torch.no_grad():
        return with_gradients(view, inputs)


def identity_of(found: Any, target: Any) -> str:
    """Give "exact" if two answers are the same bit for bit, "rounding" if they are so within rounding."""
    import torch

    pairs = list(zip(tensors_of(found), tensors_of(target), strict=True))
    if all(a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) for a, b in pairs):
        return "exact"
    return "rounding" if all(a.shape == b.shape and _alike(a, b) for a, b in pairs) else "differs"


def _alike(found: Any, target: Any) -> bool:
    import torch

    scale = float(target.abs().max()) if target.numel() else 0.0
    return bool(torch.allclose(found, target, rtol=0.0, atol=ROUNDING * scale))


def runnable(
    config: Any, space: Any, large: Any, small: Any, *, student: Any, inputs: Mapping[str, Any], choice: int
) -> Any:
    """A random candidate between two whose view runs, the smallest if there is none between.

    Raises:
        UnsupportedModelError: if the view of one that runs as a model of its own is no part of the shared weights.
    """
    from transformers import AutoModel

    from optimum_ose import reconfigure

    for drawn in draws(space, large, small):
        try:
            ask(student.view(drawn), inputs)
        except Exception as error:
            try:
                answer(AutoModel.from_config(reconfigure(config, drawn)).float().eval(), choice)
            except Exception:  # noqa: BLE001 - no fault of the view
                continue
            raise error
        return drawn
    return small


def draws(space: Any, large: Any, small: Any) -> Iterator[Any]:
    """A few candidates in a seeded order that are no larger than the largest in any axis, and neither end."""
    import numpy as np

    columns = space.candidates.columns
    inside = np.logical_and.reduce([values <= large[axis] for axis, values in columns.items()])
    order = np.random.default_rng(0).permutation(np.flatnonzero(inside))[: NUM_DRAWS + 2]
    found = (space.candidates[int(index)] for index in order)
    yield from [candidate for candidate in found if candidate not in (large, small)][:NUM_DRAWS]


def counts_of(student: Any, space: Any, views: Sequence[Any]) -> str:
    """Give "exact" if each view has as many parameters as the space says, else the first difference.

    A shared tensor that stands for several tensors of a view counts once: those are tied.
    """
    for architecture, expected in zip(views, space.parameter_size(views), strict=True):
        view = student.view(architecture)
        names = {name for name, _ in view.skeleton.named_parameters(remove_duplicate=False)}
        shared = dict(student.shared.state_dict(keep_vars=True))
        sizes = {id(shared[view.fronts[name].name]): view.tensors()[name].numel() for name in names}
        if sum(sizes.values()) != expected:
            return f"{sum(sizes.values())} and not {expected} at {dict(architecture)}"
    return "exact"


def learning_of(
    make: Callable[[Any], Any], shared: Any, sizes: Sequence[Any], inputs: Mapping[str, Any], target: Any
) -> dict[str, Any]:
    """The losses of some views before and after a few steps that train them together, and whether all fell."""
    import torch

    perturb(shared)
    saved = {name: tensor.detach().clone() for name, tensor in shared.state_dict().items()}
    key = output_of(target)
    row: dict[str, Any] = {"output": key, "has_learned": False}
    for precision, rate in RECIPES:
        torch.nn.Module.to(shared, getattr(torch, precision))
        shared.load_state_dict(saved)
        student = make(shared)
        views = [torch.nn.Module.to(student.view(architecture), getattr(torch, precision)) for architecture in sizes]
        try:
            before, after = train(
                views, lambda view: loss_on(with_gradients(view, inputs), target, key), shared, rate=rate
            )
        except RuntimeError:
            if precision == RECIPES[0][0]:
                raise
            break  # some operators know single precision only
        row |= {"before": before, "after": after, "steps": f"{NUM_STEPS}, {precision}, {rate:g}"}
        row["has_learned"] = all(last < first for first, last in zip(before, after, strict=True))
        if row["has_learned"] or min(before) <= SAME_ANSWER:
            break
    return row


def perturb(shared: Any) -> None:
    """Add noise to every weight, in place."""
    import torch

    torch.manual_seed(2)
    with torch.no_grad():
        for weight in shared.parameters():
            if weight.is_floating_point():
                scale = weight.square().mean().sqrt()
                weight.add_(torch.randn_like(weight) * scale * PERTURBATION)


def train(
    views: Sequence[Any], loss_of: Callable[[Any], Any], shared: Any, *, rate: float
) -> tuple[list[float], list[float]]:
    """The losses of views before and after steps that train them together, as the product's training does."""
    import torch

    with torch.no_grad():
        before = [float(loss_of(view)) for view in views]
    weights = [item for item in shared.parameters() if item.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate)
    for _ in range(NUM_STEPS):
        for view, first in zip(views, before, strict=True):
            view.watch()
            (loss_of(view) / max(first, SAME_ANSWER)).backward()
            view.collect()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        return before, [float(loss_of(view)) for view in views]


def summarize(rows: Sequence[Mapping[str, str]], *, is_full: bool) -> int:
    """Print the table; 1 if a full run falls short."""
    verdicts = Counter(row["verdict"] for row in rows)
    identities = Counter(row["identity"] for row in rows)
    print(f"\ntypes                      {len(rows)}")
    print(f"view of T's size is T      {identities['exact']} bit for bit, {identities['rounding']} within rounding")
    print(f"counts exact               {sum(row['counts'] == 'exact' for row in rows)}")
    print(f"passed, all views learn    {verdicts['passed']} (accepted from {ACCEPTANCE})")
    print(f"refused                    {verdicts['refused']}")
    print(f"failed                     {verdicts['failed']}")
    for reason, count in Counter(_reason(row) for row in rows if row["verdict"] != "passed").most_common():
        print(f"{count:4d}  {reason}")
    return int(is_full and verdicts["passed"] < ACCEPTANCE)


def _reason(row: Mapping[str, str]) -> str:
    if row["reason"]:
        return f"{row['verdict']}: {row['reason'].split(';')[0][:110]}"
    if row["identity"] == "differs":
        return "failed: the view of T's size answers otherwise than T"
    return "failed: counts differ" if row["counts"] != "exact" else "failed: a loss did not fall"


if __name__ == "__main__":
    sys.exit(main())
