"""Owns the benchmark of "any AutoModel config": a search space, exact counts and a forward pass for every model type.

For every model type that the installed transformers registers with AutoModel, in its default config: derive the space,
build five candidates drawn at random on `meta` and compare their parameters with the prediction, build the smallest
candidate with random weights and run it. One row per type is appended to the output as soon as it is known; types that
are in it already are skipped, so a run that was stopped goes on where it was.

Types whose optional packages are missing are refused with the package's name. For the published figures timm was
present, with a torchvision whose meta registrations were emptied because it did not fit the installed torch; natten,
detectron2 and torchaudio were not.
"""

import contextlib
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model_types import MAX_PARAMETERS, one_line, parse, tensors_of, walk

FIELDS = (
    "type", "verdict", "axes", "roles", "candidates", "formula", "seconds", "checked", "failed_builds", "wrong_counts",
    "forward", "reason",
)  # fmt: skip
STANDARD_ROLES = ("layers", "hidden", "heads", "intermediate")
ACCEPTANCE = {"spaces": 530, "full": 400, "forward": 450, "median_seconds": 3.0}
NUM_CHECKED = 5
FORWARD_SECONDS = 60


class SlowForwardError(Exception):
    """A forward pass takes too long: with random weights a detector of keypoints, say, finds one in each pixel."""


def main() -> int:
    """Run the benchmark; the exit code is 1 if a count is wrong, a build fails, or a full run falls short."""
    options = parse(__doc__.split("\n", maxsplit=1)[0], output="coverage.csv", timeout=180)
    rows, is_full = walk(examine, options, fields=FIELDS, detail="candidates")
    return summarize(rows, is_full=is_full)


def examine(name: str) -> dict[str, Any]:
    """The row of one model type."""
    from transformers import AutoConfig

    from optimum_ose import derive_search_space
    from optimum_ose.exceptions import OSEError
    from optimum_ose.modeling.axes import derive_axes

    row: dict[str, Any] = {"type": name, "verdict": "refused", "reason": ""}
    try:
        config = AutoConfig.for_model(name)
        start = time.perf_counter()
        try:
            space = derive_search_space(config)
        except OSEError as error:
            return row | {"reason": str(error), "seconds": f"{time.perf_counter() - start:.2f}"}
        seconds = time.perf_counter() - start
        axes = {axis: derive_axes(config)[axis] for axis in space.axes}
        row |= {
            "verdict": "space",
            "axes": "; ".join(f"{name}={len(space.axes[name])}:{axis.role}" for name, axis in axes.items()),
            "roles": " ".join(sorted({axis.role for axis in axes.values()})),
            "candidates": len(space),
            "formula": space.cost_model.other_parameters.model.has_formula,  # type: ignore[union-attr]
            "seconds": f"{seconds:.2f}",
        }
        row |= check_candidates(config, space)
        row["forward"] = run_forward(config, space)
    except Exception as error:  # noqa: BLE001 - any other failure is a finding of the benchmark
        row |= {"verdict": "failed", "reason": one_line(error)}
    return row


def check_candidates(config: Any, space: Any) -> dict[str, Any]:
    """Build candidates drawn at random on `meta` and compare their parameters with the prediction."""
    import numpy as np
    import torch
    from transformers import AutoModel

    from optimum_ose import reconfigure

    rng = np.random.default_rng(20201)
    drawn = space.candidates.take(rng.choice(len(space), min(NUM_CHECKED, len(space)), replace=False))
    predicted = space.parameter_size(drawn).tolist()
    failed = wrong = 0
    reason = ""
    for architecture, prediction in zip(drawn, predicted, strict=True):
        try:
            with torch.device("meta"):
                model = AutoModel.from_config(reconfigure(config, architecture))
            wrong += sum(parameter.numel() for parameter in model.parameters()) != prediction
        except Exception as error:  # noqa: BLE001 - whatever it is, the candidate does not build
            failed += 1
            reason = one_line(error)
    return {"checked": len(drawn), "failed_builds": failed, "wrong_counts": wrong, "reason": reason}


def run_forward(config: Any, space: Any) -> str:
    """Give "ok" if the smallest candidate, with random weights, answers two rows, finite and of the right shape."""
    import numpy as np
    import torch
    from transformers import AutoModel

    from optimum_ose import reconfigure
    from optimum_ose.modeling.model_inputs import run_example

    columns = space.candidates.columns
    smallest = space.candidates[int(np.argmin(np.sum([np.log(column) for column in columns.values()], axis=0)))]
    if space.parameter_size([smallest])[0] > MAX_PARAMETERS:
        return "too large"
    edited = reconfigure(config, smallest)
    try:
        torch.manual_seed(0)
        model = AutoModel.from_config(edited).eval()
        with time_limit(FORWARD_SECONDS):
            example = run_example(model, batch_size=2, num_tokens=16)
        inputs, output = example.inputs, example.output
    except Exception as error:  # noqa: BLE001
        return one_line(error)
    tensors = [item for item in tensors_of(output) if item.is_floating_point()]
    if not tensors:
        return "no output"
    if not all(torch.isfinite(item[~torch.isneginf(item)]).all() for item in tensors):
        return "not finite"
    main = output.get("last_hidden_state") if isinstance(output, Mapping) else None
    judged = tensors if main is None else [main]
    return "ok" if any(_has_right_shape(inputs, item, edited) for item in judged) else f"shape {tuple(judged[0].shape)}"


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise `SlowForwardError` within the block once it has taken so long."""

    def stop(*_: object) -> None:
        raise SlowForwardError(f"no answer after {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _has_right_shape(inputs: Mapping[str, Any], state: Any, config: Any) -> bool:
    """One row per row, one vector per token, as wide as something in the config; stages double widths."""
    widths = {size * factor for size in _integers(config.to_dict()) for factor in (1, 2, 4, 8)}
    has_decoder = "'is_encoder_decoder': True" in str(config.to_dict())
    is_text = set(inputs) <= {"input_ids", "inputs_embeds"} and not has_decoder
    rows = 2 if next(iter(inputs.values())).shape[0] == 2 else state.shape[0]
    tokens = not is_text or state.dim() < 3 or state.shape[1] == 16
    return state.shape[0] == rows and tokens and bool(widths & set(state.shape[1:]))


def _integers(content: Any) -> set[int]:
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list | tuple):
        return set().union(*(_integers(item) for item in content)) if content else set()
    return {content} if type(content) is int and content > 1 else set()


def summarize(rows: Sequence[Mapping[str, str]], *, is_full: bool) -> int:
    """Print the acceptance figures; 1 if a promise is broken."""
    spaces = [row for row in rows if row["verdict"] == "space"]
    full = [row for row in spaces if set(STANDARD_ROLES) <= set(row["roles"].split())]
    seconds = [float(row["seconds"]) for row in rows if row["seconds"]]
    checked, failed, wrong = (
        sum(int(row[name] or 0) for row in spaces) for name in ("checked", "failed_builds", "wrong_counts")
    )
    forward = sum(row["forward"] == "ok" for row in spaces)
    sizes = [int(row["candidates"]) for row in spaces]
    median = statistics.median(seconds) if seconds else 0.0
    print(f"\ntypes                         {len(rows)}")
    print(f"with a space                  {len(spaces)} (accepted from {ACCEPTANCE['spaces']})")
    print(f"with all four standard roles  {len(full)} (accepted from {ACCEPTANCE['full']})")
    print(f"candidates checked            {checked}: {failed} fail to build, {wrong} wrong counts (accepted: 0 and 0)")
    print(f"forward pass                  {forward} (accepted from {ACCEPTANCE['forward']})")
    print(f"seconds a type, median        {median:.2f} (accepted below {ACCEPTANCE['median_seconds']})")
    print(f"spaces of 100 to 10,000       {sum(100 <= size <= 10_000 for size in sizes)}")
    print(f"spaces with one formula       {sum(row['formula'] == 'True' for row in spaces)}")
    print(f"refused or failed             {Counter(row['verdict'] for row in rows if row['verdict'] != 'space')}")
    is_broken = bool(failed or wrong or any(row["verdict"] == "failed" for row in rows))
    if is_full:
        is_broken |= len(spaces) < ACCEPTANCE["spaces"] or len(full) < ACCEPTANCE["full"]
        is_broken |= forward < ACCEPTANCE["forward"] or median >= ACCEPTANCE["median_seconds"]
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
