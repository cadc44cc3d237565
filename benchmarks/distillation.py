"""Owns the benchmark of the distillation loop: `distill` against a bare torch loop with the same loss, in turns.

Both train the same student from the same weights on the same rows with the teacher's answers beside them; the bare loop
is what one would write by hand: sampler, padding, loss, clipping, AdamW, schedule. A block is a whole call, set-up
included. Blocks alternate, and the ratio of each pair counts, so that a machine that slows down slows both; CPU seconds
are given beside wall seconds, for other processes do not falsify them. Each arm's peak memory is that of a process of
its own, as are those of losses that look into the teacher, which then runs in each step.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

SIZES = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
STUDENT = {"hidden_size": 192, "num_hidden_layers": 2, "num_attention_heads": 6, "intermediate_size": 384}
VOCABULARY, NUM_CLASSES, NUM_ROWS = 8192, 6, 512
ACCEPTANCE = 0.95
INTERNALS = {
    "hidden states": "hidden_weight",
    "token relations": "relation_weight",
    "attention maps": "attention_weight",
}
"""What a loss can compare beside answers -> its weight in `DistillationConfig`."""
Arm = Callable[[Any, Any, Any, Any, Any], None]


def main() -> int:
    """Run the benchmark; the exit code is 1 if the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=7, help="blocks of each arm")
    parser.add_argument("--steps", type=int, default=200, help="optimizer steps of a block")
    options = parser.parse_args()
    wall, cpu = ratios(options.pairs, options.steps)
    costs = {name: costs_of(name, options.steps) for name in (*ARMS, *INTERNALS)}
    rows = setting(1)[3]
    answers = (rows.data.nbytes - rows.remove_columns("teacher_logits").data.nbytes) / len(rows)
    print(f"pairs of {options.steps} steps              {options.pairs}, one thread")
    print(f"throughput, CPU time, median      {statistics.median(cpu):.3f} of the bare loop ({_spread(cpu)})")
    print(f"throughput, wall time, median     {statistics.median(wall):.3f} of the bare loop ({_spread(wall)})")
    print(f"kept answers of the teacher       {answers:.0f} bytes a row, of {NUM_CLASSES} classes")
    print("a process of its own              peak memory, CPU time of a step")
    for name, (megabytes, seconds) in costs.items():
        print(f"{'distill, ' * (name in INTERNALS) + name:33s} {megabytes:.0f} MB, {1000 * seconds:.1f} ms")
    return int(statistics.median(cpu) < ACCEPTANCE)


def ratios(num_pairs: int, num_steps: int) -> tuple[list[float], list[float]]:
    """Bare seconds over `distill`'s, of wall and of CPU time, one per pair."""
    parts = setting(num_steps)
    for arm in ARMS.values():  # what is imported or compiled once
        arm(student_of(parts[1]), *parts[1:4], replace(parts[4], num_steps=5))
    wall, cpu = [], []
    for number in range(num_pairs):
        seconds = {}
        for name in list(ARMS) if number % 2 else list(ARMS)[::-1]:
            fresh = student_of(parts[1])
            start = time.perf_counter(), time.process_time()
            ARMS[name](fresh, *parts[1:])
            seconds[name] = time.perf_counter() - start[0], time.process_time() - start[1]
        wall.append(seconds["bare"][0] / seconds["distill"][0])
        cpu.append(seconds["bare"][1] / seconds["distill"][1])
    return wall, cpu


def setting(num_steps: int) -> tuple[Any, ...]:
    """Student, teacher, tokenizer, answered rows and recipe."""
    import numpy as np
    import torch
    from datasets import Dataset
    from transformers import BertConfig, BertForSequenceClassification
    from word_tokenizer import word_tokenizer

    from optimum_ose import DistillationConfig
    from optimum_ose.distillation.teaching import with_teacher_logits

    torch.set_num_threads(1)
    torch.manual_seed(0)
    teacher = BertForSequenceClassification(BertConfig(**SIZES, vocab_size=VOCABULARY, num_labels=NUM_CLASSES)).eval()
    generator = np.random.default_rng(0)
    ids = [generator.integers(5, VOCABULARY, size=generator.integers(6, 40)).tolist() for _ in range(NUM_ROWS)]
    rows = Dataset.from_dict(
        {
            "input_ids": ids,
            "attention_mask": [[1] * len(row) for row in ids],
            "labels": generator.integers(0, NUM_CLASSES, size=NUM_ROWS).tolist(),
        }
    )
    tokenizer = word_tokenizer(VOCABULARY)
    answered = with_teacher_logits(rows, teacher, tokenizer=tokenizer)
    config = DistillationConfig(num_steps=num_steps, learning_rate=3e-4)
    return student_of(teacher), teacher, tokenizer, answered, config


def student_of(teacher: Any) -> Any:
    """The same student each time."""
    from optimum_ose import Architecture
    from optimum_ose.modeling.initialization import from_scratch

    return from_scratch(teacher, Architecture(**STUDENT), task="text-classification", seed=0)


def run_distill(student: Any, teacher: Any, tokenizer: Any, rows: Any, config: Any) -> None:
    """Our loop."""
    from optimum_ose.distillation.loop import distill

    distill(student, teacher, rows=rows, tokenizer=tokenizer, config=config)


def run_bare(student: Any, teacher: Any, tokenizer: Any, rows: Any, config: Any) -> None:  # noqa: ARG001
    """The loop that one would write by hand."""
    import torch
    from torch.nn import functional as F
    from torch.utils.data import DataLoader
    from transformers import DataCollatorWithPadding, get_linear_schedule_with_warmup
    from transformers.trainer_pt_utils import LengthGroupedSampler

    pad = DataCollatorWithPadding(tokenizer)
    sampler = LengthGroupedSampler(
        config.batch_size,
        lengths=[len(row) for row in rows["input_ids"]],
        generator=torch.Generator().manual_seed(0),
    )
    loader = DataLoader(rows, batch_size=config.batch_size, sampler=sampler, collate_fn=pad)
    matrices = [item for item in student.parameters() if item.ndim > 1]
    vectors = [item for item in student.parameters() if item.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=config.learning_rate,
        fused=True,
    )
    schedule = get_linear_schedule_with_warmup(optimizer, config.num_steps // 100, config.num_steps)
    step = 0
    student.eval()
    while step < config.num_steps:
        for batch in loader:
            if step == config.num_steps:
                break
            target, labels = batch.pop("teacher_logits"), batch.pop("labels")
            found = student(**batch).logits
            loss = 4 * F.kl_div(
                F.log_softmax(found / 2, -1), F.log_softmax(target / 2, -1), reduction="batchmean", log_target=True
            )
            loss = loss + config.labels_weight * F.cross_entropy(found, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            step += 1


ARMS: dict[str, Arm] = {"distill": run_distill, "bare": run_bare}


def run_internals(name: str) -> Arm:
    """Our loop with one more term, which compares what the teacher shows inside."""

    def run(student: Any, teacher: Any, tokenizer: Any, rows: Any, config: Any) -> None:
        for model in (student, teacher):
            model.set_attn_implementation("eager" if name == "attention maps" else "sdpa")
        run_distill(student, teacher, tokenizer, rows, replace(config, **{INTERNALS[name]: 1.0}))

    return run


def costs_of(name: str, num_steps: int) -> tuple[float, float]:
    """Peak memory in MB of a process that does one block, and the CPU seconds of one of its steps."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_costs_here, (name, num_steps))


def _costs_here(name: str, num_steps: int) -> tuple[float, float]:
    parts = setting(num_steps)
    start = time.process_time()
    (ARMS.get(name) or run_internals(name))(*parts)
    seconds = time.process_time() - start
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds / num_steps


def _spread(values: list[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


if __name__ == "__main__":
    sys.exit(main())
