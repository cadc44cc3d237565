"""Owns the benchmark of "any AutoModel config": a search space, exact counts and a forward pass for every model type.

For every model type that the installed transformers registers with AutoModel, in its default config: derive the space,
build five candidates drawn at random on `meta` and compare their parameters with the prediction, build the smallest
candidate with random weights and run it. One row per type is appended to the output as soon as it is known; types that
are in it already are skipped, so a run that was stopped goes on where it was.

Types whose optional packages are missing are refused with the package's name. For the published figures timm was
present, with a torchvision whose meta registrations were emptied because it did not fit the installed torch; natten,
detectron2 and torchaudio were not.
"""

import argparse
import contextlib
import csv
import multiprocessing
import os
import resource
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

FIELDS = (
    "type", "verdict", "axes", "roles", "candidates", "formula", "seconds", "checked", "failed_builds", "wrong_counts",
    "forward", "reason",
)  # fmt: skip
STANDARD_ROLES = ("layers", "hidden", "heads", "intermediate")
ACCEPTANCE = {"spaces": 530, "full": 400, "forward": 450, "median_seconds": 3.0}
NUM_CHECKED = 5
MAX_FORWARD_PARAMETERS = 1_500_000_000
MEMORY_BYTES = 14 << 30
TYPES_PER_PROCESS = 40
"""A worker is replaced after so many types: imported models stay in memory."""
EXAMPLE = "example: python benchmarks/coverage.py --types bert,llama,swin --jobs 1 --output coverage.csv"


def main() -> int:
    """Run the benchmark; the exit code is 1 if a count is wrong, a build fails, or a full run falls short."""
    options = _parse()
    types = options.types.split(",") if options.types else registered_types()
    done = {row["type"] for row in read_rows(options.output)}
    waiting = [name for name in types if name not in done]
    with options.output.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if file.tell() == 0:
            writer.writeheader()
        for row in run_all(waiting, jobs=options.jobs, timeout=options.timeout):
            writer.writerow({name: row.get(name, "") for name in FIELDS})
            file.flush()
            print(
                f"{row['type']}: {row['verdict']} {row.get('candidates', '')} {row.get('reason', '')[:120]}", flush=True
            )
    rows = [row for row in read_rows(options.output) if row["type"] in types]
    return summarize(rows, is_full=not options.types)


def registered_types() -> list[str]:
    """Model types that AutoModel knows."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    return sorted(MODEL_MAPPING_NAMES)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows that are finished."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_all(types: Sequence[str], *, jobs: int, timeout: float) -> Any:
    """Rows in the order in which they finish; a type that takes too long or kills its process is a row too."""
    context = multiprocessing.get_context("spawn")
    queue = list(reversed(types))
    workers: dict[Connection, tuple[Any, str, float, int]] = {}
    while queue or workers:
        while queue and len(workers) < jobs:
            _start(context, workers, queue.pop())
        for connection in wait(list(workers), timeout=1):
            process, name, _, count = workers.pop(connection)
            try:
                yield connection.recv()
            except EOFError:
                process.join()
                yield {"type": name, "verdict": "failed", "reason": f"the process ended with {process.exitcode}"}
                continue
            if queue and count < TYPES_PER_PROCESS:
                name = queue.pop()
                connection.send(name)
                workers[connection] = (process, name, time.monotonic(), count + 1)
            else:
                connection.send(None)
                process.join()
        for connection, (process, name, started, _) in list(workers.items()):
            if time.monotonic() - started > timeout:
                process.kill()
                del workers[connection]
                yield {"type": name, "verdict": "failed", "reason": f"no answer after {timeout:.0f} s"}


def _start(context: Any, workers: dict[Connection, tuple[Any, str, float, int]], name: str) -> None:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,))
    process.start()
    theirs.close()
    ours.send(name)
    workers[ours] = (process, name, time.monotonic(), 1)


def _work(connection: Connection) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")
    with Path(os.devnull).open("w", encoding="utf-8") as silence, contextlib.redirect_stdout(silence):
        _answer(connection)


def _answer(connection: Connection) -> None:
    """Examine what comes; standard output is silent, for transformers prints remarks on docstrings."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    while (name := connection.recv()) is not None:
        connection.send(examine(name))


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
        row |= {"verdict": "failed", "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
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
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
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
    if space.parameter_size([smallest])[0] > MAX_FORWARD_PARAMETERS:
        return "too large"
    edited = reconfigure(config, smallest)
    try:
        torch.manual_seed(0)
        model = AutoModel.from_config(edited).eval()
        example = run_example(model, batch_size=2, num_tokens=16)
        inputs, output = example.inputs, example.output
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    tensors = [item for item in _tensors(output) if item.is_floating_point()]
    if not tensors:
        return "no output"
    if not all(torch.isfinite(item[~torch.isneginf(item)]).all() for item in tensors):
        return "not finite"
    main = output.get("last_hidden_state") if isinstance(output, Mapping) else None
    judged = tensors if main is None else [main]
    return "ok" if any(_has_right_shape(inputs, item, edited) for item in judged) else f"shape {tuple(judged[0].shape)}"


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


def _tensors(output: Any) -> list[Any]:
    import torch

    if isinstance(output, torch.Tensor):
        return [output]
    items = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return [tensor for item in items for tensor in _tensors(item)]


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


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0], epilog=EXAMPLE)
    parser.add_argument("--types", help="model types, separated by commas; default: all that AutoModel knows")
    parser.add_argument("--jobs", type=int, default=1, help="types examined at the same time")
    parser.add_argument("--timeout", type=float, default=180, help="seconds after which a type is given up")
    parser.add_argument(
        "--output", type=Path, default=Path("coverage.csv"), help="csv file; finished types are skipped"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
