"""Owns the benchmark of students of any model type: for every type that the installed transformers registers with
AutoModel, at tiny widths and with a random teacher, three claims are tried.

- identity: the teacher's config, reconfigured to its own sizes and given its weights, answers bit for bit the same;
- forward: a student smaller in at least one axis, which inherits, answers with finite numbers;
- step: one step of AdamW on a distillation loss lowers that loss on the fixed batch. The loss compares the output that
  the type has: of equal shapes by their squared difference, else by the relations of their tokens.

One row per type is appended to the output as soon as it is known; a run that was stopped goes on where it was.
"""

import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from model_types import one_line, parse, tensors_of, walk

FIELDS = (
    "type", "verdict", "teacher", "student", "identity", "forward", "output", "before", "after", "precision", "reason",
)  # fmt: skip
ACCEPTANCE = 450
NUM_WORDS = 2048
"""Vocabularies are cut to this."""
DEPTHS = ("num_hidden_layers", "num_layers", "n_layer", "depth", "encoder_layers", "decoder_layers")
TOO_LARGE = "even the tiny teacher has too many parameters"
MAX_NUMBERS = 3_000_000_000
"""In memory at once: a teacher and its twin, or a teacher and its student with gradients, two moments and a copy."""
SAME_ANSWER = 1e-9
"""Loss of a student that answers as its teacher does: what was cut is a part of the model that the batch does not
reach."""
STEPS = (("float32", 1e-6), ("float64", 1e-6), ("float64", 1e-8))
"""Precision and learning rate of the one step, until one lowers the loss: what rounding hides in the first is seen in
the second, and what overshoots there in the third. At the 3e-4 of whole distillations a step of AdamW, which moves
every weight by that much, overshoots in random networks of a thousand channels."""
LEAST_INITIAL, USUAL_INITIAL = 1e-3, 0.02
"""Standard deviation of first weights below which a config is taken to mean that a checkpoint is loaded anyway, and
what is drawn instead: some types are all but zero by default, and their random teacher says nothing."""

Fits = Callable[[int, int], bool]
"""Whether a teacher and a student of so many parameters can be tried together in memory."""


def main() -> int:
    """Run the benchmark; the exit code is 1 if a full run falls short."""
    options = parse(__doc__.split("\n\n", maxsplit=1)[0], output="every_type.csv", timeout=180)
    rows, is_full = walk(examine, options, fields=FIELDS, detail="output")
    return summarize(rows, is_full=is_full)


def examine(name: str) -> dict[str, Any]:
    """The row of one model type."""
    return examine_type(name, examine_config)


def examine_type(name: str, examine_config: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """The row of one model type: with few words and usual first weights where that goes, else as it comes.

    Args:
        name: of the type.
        examine_config: gives the row of a config, but for its type.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.for_model(name)
    except Exception as error:  # noqa: BLE001 - any failure is a finding of the benchmark
        return {"type": name, "verdict": "failed", "reason": f"config: {one_line(error)}"}
    few = edited(config, tame)
    row = examine_config(config if few is None else few)
    if row["reason"] == TOO_LARGE:
        shallow = edited(config if few is None else few, cut_depths)
        return {"type": name, **(row if shallow is None else examine_config(shallow))}
    if few is not None and (row["verdict"] == "refused" or row["reason"].startswith("teacher")):
        row = examine_config(config)  # it may be the cut that it does not bear
    return {"type": name, **row}


def edited(config: Any, cut: Callable[[Any], bool]) -> Any:
    """The config with numbers cut; None if there is nothing to cut, or its rules forbid it."""
    content = config.to_dict()
    try:
        return type(config).from_dict(content) if cut(content) else None
    except Exception:  # noqa: BLE001 - whatever rule of the config forbids it
        return None


def cut_depths(content: Any) -> bool:
    """Cut every number of layers in nested mappings, and lists of one entry per layer, in place; whether there was one.

    Of composite models the space may size one part only, and the others stay as large as they are by default.
    """
    if not isinstance(content, dict):
        return False
    depths = {key: value for key, value in content.items() if key in DEPTHS and isinstance(value, int) and value > 2}
    for key, value in content.items():
        if isinstance(value, list) and len(value) in depths.values():
            content[key] = value[:2]
    content.update(dict.fromkeys(depths, 2))
    return any([bool(depths), *(cut_depths(value) for value in content.values())])


def tame(content: Any) -> bool:
    """Cut every vocabulary in nested mappings, and token ids beyond it, and draw usual first weights, in place; whether
    there was anything to change.
    """
    if not isinstance(content, dict):
        return False
    large = [
        key
        for key, value in content.items()
        if "vocab_size" in str(key) and isinstance(value, int) and value > NUM_WORDS
    ]
    content.update(dict.fromkeys(large, NUM_WORDS))
    if "vocab_size" in large:
        for key, value in content.items():
            if str(key).endswith("token_id") and isinstance(value, int) and value >= NUM_WORDS:
                content[key] = NUM_WORDS - 1
    is_zero = isinstance(first := content.get("initializer_range"), float) and 0 < first < LEAST_INITIAL
    if is_zero:
        content["initializer_range"] = USUAL_INITIAL
    return any([bool(large), is_zero, *(tame(value) for value in content.values())])


def examine_config(config: Any) -> dict[str, Any]:
    """The row of one config, but for its type."""
    row, _, pairs = find_pairs(config, small_enough)
    for large, small in pairs:
        row = {"teacher": dict(large), "student": dict(small)} | examine_pair(config, large, small)
        if not row["reason"].startswith("teacher") and row.get("before", 1.0) > SAME_ANSWER:
            break
    return row


def find_pairs(config: Any, fits: Fits) -> tuple[dict[str, Any], Any, list[tuple[Any, Any]]]:
    """A config's space, and the sizes of teachers and their students to try, in that order.

    Args:
        config: any.
        fits: see `Fits`.

    Returns:
        The row that holds if there are no pairs, the space, and the pairs.
    """
    from optimum_ose import derive_search_space
    from optimum_ose.exceptions import OSEError
    from optimum_ose.modeling.axes import derive_axes

    row: dict[str, Any] = {"verdict": "refused", "reason": TOO_LARGE}
    try:
        space = derive_search_space(config)
        freely = [name for name, axis in derive_axes(config).items() if axis.role in ("layers", "intermediate")]
        return row, space, [*choose_pairs(space, fits), *full_width_pairs(space, freely, fits)]
    except OSEError as error:
        return row | {"reason": str(error)}, None, []
    except Exception as error:  # noqa: BLE001 - any failure is a finding of the benchmark
        return row | {"verdict": "failed", "reason": f"space: {one_line(error)}"}, None, []


def examine_pair(config: Any, large: Any, small: Any) -> dict[str, Any]:
    """The verdict on a teacher and its student."""
    import torch
    from transformers import AutoModel

    from optimum_ose import reconfigure
    from optimum_ose.modeling.model_inputs import run_example

    row: dict[str, Any] = {"verdict": "failed", "reason": ""}
    stage = "teacher"
    try:
        torch.manual_seed(0)
        teacher = AutoModel.from_config(reconfigure(config, large)).float().eval()
        example = run_example(teacher, batch_size=2, num_tokens=16)
        settle_norms(teacher, example.choice)
        stage = "identity"
        row["identity"] = identity_of(inherited(teacher, config, large, large), teacher, example.choice)
        stage = "student"
        row |= step_of(inherited(teacher, config, large, small), teacher, example.choice)
    except Exception as error:  # noqa: BLE001 - any failure is a finding of the benchmark
        return row | {"reason": f"{stage}: {one_line(error)}"}
    has_learned = row["forward"] == "finite" and row["after"] < row["before"]
    return row | {"verdict": "passes" if row["identity"] == "exact" and has_learned else "failed"}


def choose_pairs(space: Any, fits: Fits) -> list[tuple[Any, Any]]:
    """Teachers that are not too large, each with the smallest candidate as its student.

    First the one that is larger in most axes, next the one that is so in half as many, last the nearest ones: a space
    is only known to run at its smallest candidate, and of a composite model the batch may not reach each part.
    """
    import numpy as np

    values = np.stack(list(space.candidates.columns.values()), axis=1)
    smallest, *order = np.argsort(np.log(values).sum(1), kind="stable").tolist()
    above = [index for index in order if (values[index] >= values[smallest]).all()] or order
    num_larger = (values > values[smallest]).sum(1)
    ladder = {int(num_larger[index]): index for index in reversed(above)}  # of each number of axes the smallest
    chosen = [ladder[number] for number in sorted(ladder, reverse=True)]
    *counts, least = space.parameter_size([space.candidates[index] for index in (*chosen, *above[:2], smallest)])
    is_tiny = [fits(count, least) for count in counts]
    fitting = [index for index, is_one in zip(chosen, is_tiny, strict=False) if is_one]
    nearest = [index for index, is_one in zip(above[:2], is_tiny[len(chosen) :], strict=True) if is_one]
    teachers = dict.fromkeys([*fitting[:1], *fitting[len(fitting) // 2 :][:1], *nearest])
    return [(space.candidates[index], space.candidates[smallest]) for index in teachers]


def full_width_pairs(space: Any, freely: Collection[str], fits: Fits) -> list[tuple[Any, Any]]:
    """A teacher and its student that are as wide as T and differ in depth and inner sizes only, if they are not too
    large: some types compute with widths that no weight shows, and do not run at the smallest candidate.
    """
    wide = [
        candidate
        for candidate in space
        if all(candidate[name] == value for name, value in space.maximum_point.items() if name not in freely)
    ]
    counts = space.parameter_size(wide)
    first, *others = counts.argsort(kind="stable").tolist()
    small = wide[first]
    above = [index for index in others if all(wide[index][name] >= small[name] for name in small)]
    fitting = [index for index in above if fits(counts[index], counts[first])]
    return [(wide[index], small) for index in fitting[:1]]


def small_enough(teacher_size: int, student_size: int) -> bool:
    """Whether a teacher beside its copy, or beside a student with its gradients and optimizer, is small enough."""
    return teacher_size + max(teacher_size, 5 * student_size) <= MAX_NUMBERS


def answer(model: Any, choice: int) -> Any:
    """What a model answers to the fixed batch; models that draw numbers draw the same."""
    import torch

    from optimum_ose.modeling.model_inputs import run_example

    torch.manual_seed(1)
    return run_example(model, batch_size=2, num_tokens=16, choice=choice).output


def settle_norms(teacher: Any, choice: int) -> None:
    """Give batch norms the statistics of the fixed batch: with those of a new model, signals die out layer by layer."""
    import torch

    norms = [item for item in teacher.modules() if isinstance(item, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = None  # the mean over all batches seen, which is one
    if norms:
        answer(teacher, choice)
    teacher.eval()


def inherited(teacher: Any, config: Any, large: Any, small: Any) -> Any:
    """A student of the smaller of two architectures with what it takes of the teacher's weights."""
    from transformers import AutoModel

    from optimum_ose import reconfigure
    from optimum_ose.modeling.slicing import copy_fronts

    student = AutoModel.from_config(reconfigure(config, small)).float().eval()
    order = sorted(small, key=lambda axis: not axis.endswith("hidden_size"))
    copy_fronts(student, teacher, sizes=tuple((large[axis], small[axis]) for axis in order))
    return student


def identity_of(twin: Any, teacher: Any, choice: int) -> str:
    """Give "exact" if a copy of the teacher's own size answers bit for bit the same."""
    import torch

    ours, theirs = tensors_of(answer(twin, choice)), tensors_of(answer(teacher, choice))
    same = len(ours) == len(theirs) and all(
        a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
        for a, b in zip(ours, theirs, strict=True)
    )
    return "exact" if same else "differs"


def step_of(student: Any, teacher: Any, choice: int) -> dict[str, Any]:
    """The loss before and after one step of a student, and whether its answer is finite."""
    import torch

    target = answer(teacher, choice)
    found = [item for item in tensors_of(answer(student, choice)) if item.is_floating_point()]
    is_finite = bool(found) and all(torch.isfinite(item[~torch.isneginf(item)]).all() for item in found)
    key = output_of(target)
    seen = {"forward": "finite" if is_finite else "not finite", "output": key}
    inputs = inputs_of(student, choice)
    for precision, rate in STEPS:
        student.to(getattr(torch, precision))
        try:
            steps = one_step(student, lambda: loss_on(with_gradients(student, inputs), target, key), rate=rate)
        except RuntimeError:
            if precision == STEPS[0][0]:
                raise
            break  # some operators know single precision only
        seen |= steps | {"precision": f"{precision}, {rate:g}"}
        if steps["after"] < steps["before"]:
            break
    return seen


def one_step(student: Any, loss: Any, *, rate: float) -> dict[str, float]:
    """The loss before and after one step of AdamW; the student is left as it was."""
    import torch

    weights = [item for item in student.parameters() if item.requires_grad]
    saved = [item.detach().clone() for item in weights]
    optimizer = torch.optim.AdamW(weights, lr=rate)
    before = loss()
    before.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    with torch.no_grad():
        after = loss()
        for item, value in zip(weights, saved, strict=True):
            item.copy_(value)
    return {"before": float(before), "after": float(after)}


def inputs_of(model: Any, choice: int) -> dict[str, Any]:
    """The fixed batch."""
    import inspect

    from optimum_ose.modeling.model_inputs import run_example

    inputs = run_example(model, batch_size=2, num_tokens=16, choice=choice).inputs
    has_cache = "use_cache" in inspect.signature(model.forward).parameters
    # `run_example` tries all inputs with and without a cache, in this order.
    return {**inputs, **({"use_cache": False} if has_cache and choice % 2 else {})}


def with_gradients(model: Any, inputs: Mapping[str, Any]) -> Any:
    """The answer to a batch, with gradients and in the model's precision."""
    import torch

    torch.manual_seed(1)
    precision = next(model.parameters()).dtype
    features = {name: item for name, item in inputs.items() if getattr(item, "dtype", None) == torch.float32}
    return model(**{**inputs, **{name: item.to(precision) for name, item in features.items()}})


def output_of(output: Any) -> Any:
    """Key of the output that is imitated: logits, the last hidden state, or the first floating tensor that is no
    loss.
    """
    if not isinstance(output, Mapping):
        return 0
    named = [name for name in ("logits", "last_hidden_state") if output.get(name) is not None]
    floats = [name for name, item in output.items() if tensors_of(item) and tensors_of(item)[0].is_floating_point()]
    floats.sort(key=lambda name: name == "loss")
    return [*named, *floats][0]


def loss_on(output: Any, target: Any, key: Any) -> Any:
    """The distillation loss of a student's answer."""
    import torch

    from optimum_ose.distillation.losses import hidden_mismatch, relation_mismatch

    ours = tensors_of(output[key])[0]
    theirs = tensors_of(target[key])[0].detach().to(ours.dtype)
    if ours.shape == theirs.shape:
        ours, theirs = (value.reshape(1, -1, value.shape[-1]) for value in (ours, theirs))
        return hidden_mismatch(ours, theirs, torch.ones(ours.shape[:2]))
    differing = [index for index in range(1, ours.ndim) if ours.shape[index] != theirs.shape[index]]
    if ours.ndim != theirs.ndim or len(differing) != 1:
        raise ValueError(f"shapes {tuple(ours.shape)} and {tuple(theirs.shape)} differ in more than the width")
    ours, theirs = (value.movedim(differing[0], -1) for value in (ours, theirs))
    is_row = ours.shape[1:-1].numel() == 1  # one vector a row: its relations to the other rows
    ours, theirs = (value.reshape(1 if is_row else len(value), -1, value.shape[-1]) for value in (ours, theirs))
    return relation_mismatch(ours, theirs, torch.ones(ours.shape[:2]))


def summarize(rows: Sequence[Mapping[str, str]], *, is_full: bool) -> int:
    """Print the table; 1 if a full run falls short."""
    passing = [row for row in rows if row["verdict"] == "passes"]
    print(f"\ntypes                                {len(rows)}")
    print(f"identity exact                       {sum(row['identity'] == 'exact' for row in rows)}")
    print(f"reduced student finite               {sum(row['forward'] == 'finite' for row in rows)}")
    print(f"one step lowers the loss, and both   {len(passing)} (accepted from {ACCEPTANCE})")
    for reason, count in Counter(_reason(row) for row in rows if row["verdict"] != "passes").most_common():
        print(f"{count:4d}  {reason}")
    return int(is_full and len(passing) < ACCEPTANCE)


def _reason(row: Mapping[str, str]) -> str:
    if row["reason"]:
        return f"{row['verdict']}: {row['reason'].split(';')[0][:110]}"
    if row["identity"] != "exact":
        return "failed: the twin's answer differs"
    return "failed: not finite" if row["forward"] != "finite" else "failed: the loss did not fall"


if __name__ == "__main__":
    sys.exit(main())
