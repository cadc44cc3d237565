"""Bort's search space, its two tuples, and what of their published figures can be seen with random weights.

python examples/bort.py               # counts: seconds
python examples/bort.py --measure     # and latencies: minutes, some GB of files; needs a quiet machine
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from transformers import BertConfig

from optimum_ose import Architecture, SearchSpace, derive_search_space
from optimum_ose.modeling.bort import BORT_AS_SIZED, BORT_RELEASED, bort_search_space

TUPLES = {"as released": BORT_RELEASED, "as sized": BORT_AS_SIZED}
MODELS = ("BERT-large", "BERT-base", "Bort as released", "Bort as sized")
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "bort.py"


def main() -> int:
    """Print the counts; with --measure, time the models too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="time ONNX and PyTorch, fp32 and int8")
    options = parser.parse_args()
    space = bort_search_space()
    print(f"{len(space)} valid candidates; T = {space.maximum_point}\n")
    for name, figures in counts(space).items():
        print(f"Bort {name}: {dict(TUPLES[name])}")
        for label, (found, published) in figures.items():
            print(f"  {label:<58} {found:>9}   published: {published}")
    print("\nThe published size and shares fit the tuple as sized; the released checkpoint has the other.")
    if not options.measure:
        return 0
    command = [sys.executable, str(BENCHMARK), "--models", *MODELS, "--batch-sizes", "1"]
    return subprocess.run(command, check=False).returncode


def counts(space: SearchSpace) -> dict[str, dict[str, tuple[str, str]]]:
    """By tuple and figure: what we count, and what was published."""
    bert = bert_space()
    large, (base,) = bert.maximum_point, bert
    found = {}
    for name, bort in TUPLES.items():
        size, net = space.parameter_size([bort, space.maximum_point]), bert.parameter_size([large])
        work, bert_work = space.multiply_adds([bort]), bert.multiply_adds([large, base])
        own, whole = encoder_size(space, [bort, space.maximum_point])
        found[name] = {
            "parameters, millions": (f"{size[0] / 1e6:.1f}", "56"),
            "of them embeddings": (
                f"{(size - space.parameter_size([bort], count_embeddings=False))[0] / 1e6:.1f}",
                "39",
            ),
            "share of BERT-large, embeddings included (net)": (f"{size[0] / net[0]:.1%}", "16%"),
            "share of T's encoder, without embeddings (effective)": (f"{own / whole:.1%}", "5.5%"),
            "fewer multiply-adds than BERT-large, 128 tokens": (f"{bert_work[0] / work[0]:.1f}x", "20x faster"),
            "fewer multiply-adds than BERT-base, 128 tokens": (f"{bert_work[1] / work[0]:.1f}x", "7.9x faster"),
        }
    return found


def bert_space() -> SearchSpace:
    """BERT-large as maximum point, BERT-base as the only candidate."""
    config = BertConfig(num_hidden_layers=24, num_attention_heads=16, hidden_size=1024, intermediate_size=4096)
    return derive_search_space(
        config, num_hidden_layers=12, num_attention_heads=12, hidden_size=768, intermediate_size=3072
    )


def encoder_size(space: SearchSpace, architectures: list[Architecture]) -> list[int]:
    """D (4 H^2 + 2 H I + 9 H + I): without embeddings, their norm (2 H), and `AutoModel`'s pooler (H^2 + H)."""
    widths = np.array([architecture.hidden_size for architecture in architectures])
    sizes = space.parameter_size(architectures, count_embeddings=False) - widths**2 - 3 * widths
    return [int(size) for size in sizes]


if __name__ == "__main__":
    sys.exit(main())
