"""Owns the benchmark of scoring: p, i and W of a million candidates of a derived space, in time and memory.

The space is BERT's, derived from its config with long lists of values. One figure each for deriving and enumerating it,
for p and i of every candidate in chunks, and for W with the errors of a power law. The peak memory is that of the whole
process, with torch and transformers, which deriving needs.
"""

import argparse
import os
import resource
import sys
import time

import numpy as np

SECONDS, GIGABYTES = 5.0, 1.0
MINIMUM = 1_000_000
EXAMPLE = "example: OMP_NUM_THREADS=2 python benchmarks/scoring.py --step 32"


def main() -> int:
    """Run the benchmark; the exit code is 1 if scoring takes too long or too much memory."""
    options = _parse()
    from transformers import BertConfig

    from optimum_ose import derive_search_space
    from optimum_ose.core.question import pose_question

    config = BertConfig(num_hidden_layers=24, hidden_size=1024, num_attention_heads=16, intermediate_size=4096)
    begin = time.perf_counter()
    space = derive_search_space(
        config,
        num_hidden_layers=tuple(range(1, 25)),
        hidden_size=tuple(range(64, 1025, 16)),
        num_attention_heads=(1, 2, 4, 8, 16),
        intermediate_size=tuple(range(64, 4097, options.step)),
    )
    derived = time.perf_counter()
    # The first call derives the polynomial of operations: part of deriving, whatever the number of candidates.
    space.multiply_adds(space.candidates[:1])
    prepared = time.perf_counter()
    question = pose_question(
        space, space.parameter_size, space.multiply_adds, maximum_point=None, constraints=(), max_error=None
    )
    scored = time.perf_counter()
    error = 0.1 + (question.inference_cost / question.inference_cost.min()) ** -0.2
    best = int(np.argmax(question.savings / error))
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"candidates            {len(space):,}, on {os.cpu_count()} cores")
    print(f"derived, enumerated   {derived - begin:.2f} s")
    print(f"operations derived    {prepared - derived:.2f} s")
    print(f"p, i, savings of all  {scored - prepared:.2f} s")
    print(f"W of all              {end - scored:.2f} s; best: {question.candidates[best]}")
    seconds = (end - prepared) * MINIMUM / len(space)
    print(f"a million candidates  {seconds:.2f} s (accepted: {SECONDS:g})")
    print(f"peak memory           {peak:.2f} GB (accepted: {GIGABYTES:g})")
    kept = len(space) >= MINIMUM and seconds < SECONDS and peak < GIGABYTES
    print("promise kept" if kept else "BROKEN, or fewer than a million candidates")
    return int(not kept)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], epilog=EXAMPLE)
    parser.add_argument("--step", type=int, default=16, help="step of intermediate_size: more candidates if smaller")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
