"""`ose trim`: what a real encoder keeps, and the time and memory of counting and trimming.

- full: every token that a corpus has stays; trimmed in memory the outputs are the same on many of its lines.
- half: half of the vocabulary stays; Spearman on STS-B, before and after.
- counting: tokens a second and the largest memory, on a small and on a large text.
- large: a random encoder of XLM-R-base's shape (250,002 tokens, Unigram) is cut to a fifth; seconds and memory.
"""

import argparse
import csv
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from optimum_ose import trim_vocabulary
from optimum_ose.modeling.tokenizers import load_tokenizer
from optimum_ose.progress import SilentListener
from optimum_ose.vocabulary.corpus import find_corpus
from optimum_ose.vocabulary.counting import count_tokens

SPEARMAN_BAR, SECONDS_BAR, GIGABYTES_BAR = 0.005, 60, 4
LARGE, SPECIAL = 250_002, ("<s>", "<pad>", "</s>", "<unk>")
_SYLLABLES = [first + second for first in "bcdfghjklmnprstvz" for second in "aeiou"]


def main() -> int:
    """Run the parts; the exit code is 1 if a bar is broken."""
    options = _parse()
    parts: Mapping[str, Callable[[argparse.Namespace, Path], bool]] = {
        "full": _full,
        "half": _half,
        "counting": _counting,
        "large": _large,
    }
    kept = True
    for name in options.parts:
        with TemporaryDirectory(dir=options.scratch) as folder:
            kept &= parts[name](options, Path(folder))
    return 0 if kept else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python benchmarks/vocabulary_trim.py --model path/to/minilm --data shared/data",
    )
    parser.add_argument("--model", help="folder of the sentence encoder (parts full, half and counting)")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds corpus_en/ and stsb/")
    parser.add_argument("--parts", nargs="+", default=["full", "half", "counting", "large"])
    parser.add_argument("--lines", type=int, default=10_000, help="compared in the part full (default: %(default)s)")
    parser.add_argument("--megabytes", type=int, default=1000, help="of the part counting (default: %(default)s)")
    parser.add_argument("--scratch", type=Path, help="folder for temporary files")
    return parser.parse_args()


def _full(options: argparse.Namespace, folder: Path) -> bool:
    report = trim_vocabulary(
        options.model, options.data / "corpus_en", folder / "out", keep_coverage=1, sample_size=options.lines
    )
    check = report.verification
    print(
        f"full: {report.num_tokens_after:,} of {report.num_tokens:,} tokens, {report.num_parameters_after:,} of "
        f"{report.num_parameters:,} parameters; {check.num_texts:,} of {check.num_sampled:,} lines compared, "
        f"identical: {check.identical}",
        flush=True,
    )
    return check.identical and check.num_texts == options.lines


def _half(options: argparse.Namespace, folder: Path) -> bool:
    half = len(AutoTokenizer.from_pretrained(options.model)) // 2
    report = trim_vocabulary(options.model, options.data / "corpus_en", folder / "out", vocabulary_size=half)
    before, after = (_stsb(source, options.data) for source in (options.model, folder / "out"))
    print(
        f"half: {report.num_tokens_after:,} tokens, coverage {report.coverage:.3%}, "
        f"{report.num_texts_changed / report.num_texts:.1%} of the lines with other tokens; "
        f"STS-B test Spearman {before:.4f} before, {after:.4f} after",
        flush=True,
    )
    return before - after <= SPEARMAN_BAR


def _stsb(source: str | Path, data: Path) -> float:
    table = pd.read_csv(
        data / "stsb/sts-test.csv", sep="\t", header=None, quoting=csv.QUOTE_NONE, usecols=[4, 5, 6], names=range(9)
    )
    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source).eval()
    left, right = (_vectors(tokenizer, model, table[column].tolist()) for column in (5, 6))
    return float(spearmanr((left * right).sum(1), table[4]).statistic)


def _vectors(tokenizer: PreTrainedTokenizerFast, model: XLMRobertaModel, texts: list[str]) -> np.ndarray:
    """Normalized means of the last states."""
    found = []
    for batch in _batched(texts, 64):
        inputs = tokenizer(list(batch), padding=True, truncation=True, max_length=128, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        found.append(torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1))
    return torch.cat(found).numpy()


def _batched(texts: list[str], size: int) -> Iterator[list[str]]:
    yield from (texts[start : start + size] for start in range(0, len(texts), size))


def _counting(options: argparse.Namespace, folder: Path) -> bool:
    lines = [path.read_bytes() for path in sorted((options.data / "corpus_en").glob("*.txt"))]
    once = b"".join(lines)
    backend = load_tokenizer(options.model).backend_tokenizer
    peaks = []
    for size in (len(once), options.megabytes * 1_000_000):
        path = folder / "text.txt"
        with path.open("wb") as stream:
            for _ in range(-(-size // len(once))):
                stream.write(once)
        begun, used = time.monotonic(), time.process_time()
        counted = count_tokens(
            backend, find_corpus([path]).chunks(), num_ids=backend.get_vocab_size(), listener=SilentListener()
        )
        seconds, cpu = time.monotonic() - begun, time.process_time() - used
        peaks.append(_peak())
        print(
            f"counting: {path.stat().st_size / 1e6:,.0f} MB, {counted.num_tokens:,} tokens in {seconds:,.0f} s "
            f"({cpu:,.0f} s of CPU time, {path.stat().st_size / 1e6 / cpu:.2f} MB for each), "
            f"{len(os.sched_getaffinity(0))} cores, at most {peaks[-1]:.2f} GB so far",
            flush=True,
        )
    return peaks[-1] - peaks[0] < 0.2


def _large(options: argparse.Namespace, folder: Path) -> bool:
    backend = _large_tokenizer()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL, strict=True)),
        mask_token="<mask>",
    )
    config = XLMRobertaConfig(vocab_size=LARGE, max_position_embeddings=514, type_vocab_size=1)
    XLMRobertaModel(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    before = _peak()
    begun, used = time.monotonic(), time.process_time()
    report = trim_vocabulary(
        folder / "model",
        options.data / "corpus_en" / "sgd_dialogue_turns.txt",
        folder / "out",
        vocabulary_size=LARGE // 5,
        sample_size=16,
    )
    seconds, cpu = time.monotonic() - begun, time.process_time() - used
    print(
        f"large: {report.num_tokens:,} to {report.num_tokens_after:,} tokens, {report.num_parameters:,} to "
        f"{report.num_parameters_after:,} parameters in {seconds:.0f} s ({cpu:.0f} s of CPU time), counting "
        f"{report.num_texts:,} lines included; at most {_peak():.2f} GB ({before:.2f} GB before)",
        flush=True,
    )
    return cpu <= SECONDS_BAR and _peak() <= GIGABYTES_BAR


def _large_tokenizer() -> Tokenizer:
    """Random pieces in the manner of XLM-R: Unigram, special tokens first, the mask last."""
    generator = np.random.default_rng(0)
    characters = ["▁", *(chr(code) for code in range(33, 127)), *(chr(code) for code in range(0x4E00, 0x4E00 + 5000))]
    pieces = dict.fromkeys([*SPECIAL, *characters])
    while len(pieces) < LARGE - 1:
        drawn = generator.choice(_SYLLABLES, size=(10_000, 4))
        lengths = generator.integers(1, 5, size=10_000)
        marks = generator.choice(["", "▁"], size=10_000)
        pieces |= dict.fromkeys(
            mark + "".join(row[:length]) for row, length, mark in zip(drawn, lengths, marks, strict=True)
        )
    names = list(pieces)[: LARGE - 1]
    scores = [0.0] * len(SPECIAL) + (-5 - 10 * generator.random(len(names) - len(SPECIAL))).tolist()
    made = Tokenizer(models.Unigram(list(zip(names, scores, strict=True)), unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.add_special_tokens([*SPECIAL, AddedToken("<mask>", lstrip=True)])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made


def _peak() -> float:
    """Largest memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    sys.exit(main())
