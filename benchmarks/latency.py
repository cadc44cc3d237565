"""Owns the benchmark of the latency model: unseen candidates of three search spaces, predicted and then measured.

In each space the candidates that a search would measure and the unseen ones are timed side by side, in the same rounds.
The model sees the former only. Then students are chosen under bounds on the latency, as `--max-latency-ms` chooses
them, built anew with other random weights, and measured afresh.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import BertConfig, PretrainedConfig, RobertaConfig, ViTConfig
from word_tokenizer import word_tokenizer

from optimum_ose.configuration import SearchConfig
from optimum_ose.configuration.latency import LatencySetting
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.export.latency_meter import LatencyMeter, time_file
from optimum_ose.export.latency_probe import export_for_timing, random_model
from optimum_ose.export.machine import describe_machine
from optimum_ose.journal import Journal
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.optimizer.latency import LatencyFinding, admitted, chosen_to_fit, fit_latency
from optimum_ose.progress import SilentListener

MEDIAN_BAR, WORST_BAR = 0.10, 0.20
"""Acceptance: largest median and worst |prediction / measurement - 1| over the unseen candidates."""
BOUND_SHARES = (0.2, 0.5, 0.8)
"""Shares of the search space that the bounds admit."""
_TASK = {"bert": "text-classification", "roberta": "text-classification", "vit": "feature-extraction"}


def main() -> int:
    """Run the benchmark; the exit code is 1 if a bar is broken."""
    options = _parse()
    machine = describe_machine()
    print(f"{machine.get('cpu')}, {machine['num_usable_cores']} usable cores, load {os.getloadavg()[0]:.1f}")
    broken = False
    for name in options.spaces:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            broken |= _report_space(name, configs(quick=options.quick)[name], options, Path(folder))
    print("BROKEN" if broken else "every bar kept")
    return int(broken)


def configs(*, quick: bool) -> dict[str, PretrainedConfig]:
    """The maximum point of each space: BERT-base, a MiniLM-L6 with RoBERTa's vocabulary, ViT-small."""
    if quick:
        small = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}
        return {
            "bert": BertConfig(vocab_size=2000, **small),
            "roberta": RobertaConfig(vocab_size=50_265, max_position_embeddings=514, **small),
            "vit": ViTConfig(image_size=64, patch_size=16, **small),
        }
    six = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    twelve = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536}
    return {
        "bert": BertConfig(),
        "roberta": RobertaConfig(vocab_size=50_265, max_position_embeddings=514, **six),
        "vit": ViTConfig(**twelve),
    }


def _report_space(name: str, config: PretrainedConfig, options: argparse.Namespace, folder: Path) -> bool:
    """Print the figures of one space; whether a bar is broken."""
    begin = time.perf_counter()
    try:
        space = derive_search_space(config, task=_TASK[name])
    except UnsupportedModelError as error:
        print(f"\n{name}: skipped, its search space cannot be derived: {error}", flush=True)
        return False
    settings = SearchConfig(latency=_setting(options), sequence_length=options.sequence_length, seed=options.seed)
    tokenizer = None if name == "vit" else word_tokenizer(config.vocab_size)
    meter = LatencyMeter(
        config,
        tokenizer,
        task=_TASK[name],
        setting=settings.latency,
        sequence_length=settings.sequence_length,
        journal=Journal(folder / "journal.jsonl", question={"space": name}),
        scratch=folder / "files",
        listener=SilentListener(),
    )
    fitted = list(chosen_to_fit(space, settings))
    unseen = _unseen(space, fitted, options)
    measured = meter.measure([*fitted, *unseen])[len(fitted) :]
    finding = fit_latency(space, meter, settings)
    predicted = finding.model.predict(space.columns(unseen))
    true = np.array([item.latency_ms for item in measured])
    errors = np.abs(predicted / true - 1)
    contended = sum(item.num_contended_blocks for item in (*measured, *finding.measured.values()))
    print(
        f"\n{name}: {len(space)} candidates, {len(fitted)} fitted, {len(unseen)} unseen, {meter.conditions}\n"
        f"  held back while fitting: median {finding.model.median_error:.1%}, worst {finding.model.worst_error:.1%}; "
        f"margin {finding.model.margin:.1%}\n"
        f"  unseen, {true.min():.2f} to {true.max():.2f} ms: median {np.median(errors):.1%} (bar {MEDIAN_BAR:.0%}), "
        f"worst {errors.max():.1%} (bar {WORST_BAR:.0%})\n"
        f"  disturbed by other processes: {contended} of {(len(fitted) + len(unseen)) * options.rounds} timing blocks",
        flush=True,
    )
    broken = bool(np.median(errors) > MEDIAN_BAR or errors.max() > WORST_BAR)
    for share in BOUND_SHARES:
        limit = float(np.quantile(finding.model.upper_bound(space.candidates.columns), share))
        student, line = _chosen(space, finding, meter, limit=limit)
        file = export_for_timing(
            random_model(config, student, task=_TASK[name], seed=1), tokenizer, folder / "student", **_rows(settings)
        )
        found = time_file(file, setting=settings.latency, found=meter.conditions)
        broken |= found.latency_ms > limit
        verdict = "kept" if found.latency_ms <= limit else "MISSED"
        print(f"{line}, measured afresh {found.latency_ms:.2f} ms: {verdict}", flush=True)
    print(f"  {time.perf_counter() - begin:.0f} seconds, load {os.getloadavg()[0]:.1f}{'  BROKEN' if broken else ''}")
    return broken


def _chosen(
    space: SearchSpace, finding: LatencyFinding, meter: LatencyMeter, *, limit: float
) -> tuple[Architecture, str]:
    """The slowest admitted candidate, for which keeping the bound is hardest; as in a search, one that misses it when
    it is measured gives way to the next.
    """
    while True:
        kept = list(admitted(space, finding, max_latency_ms=limit, settings=SearchConfig()))
        predicted = finding.model.predict(space.columns(kept))
        student = kept[int(np.argmax(predicted))]
        (measured,) = meter.measure([student])
        if measured.slowest_ms <= limit:
            return student, (
                f"  max_latency_ms={limit:.2f}: {len(kept)} admitted, {len(finding.refused)} refused; predicted "
                f"{predicted.max():.2f}, measured in the search {measured.latency_ms:.2f}"
            )
        finding = replace(finding, refused={**finding.refused, student: measured})


def _rows(settings: SearchConfig) -> dict[str, Any]:
    latency = settings.latency
    return {
        "precision": latency.precision,
        "batch_size": latency.batch_size,
        "sequence_length": settings.sequence_length,
    }


def _unseen(space: SearchSpace, fitted: list[Architecture], options: argparse.Namespace) -> list[Architecture]:
    others = [candidate for candidate in space if candidate not in set(fitted)]
    generator = np.random.default_rng([options.seed, 1])
    drawn = generator.choice(len(others), min(options.unseen, len(others)), replace=False)
    return [others[index] for index in drawn.tolist()]


def _setting(options: argparse.Namespace) -> LatencySetting:
    return LatencySetting(
        batch_size=options.batch_size,
        num_threads=options.threads,
        precision=options.precision,
        num_candidates=options.fitted,
        num_rounds=options.rounds,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python benchmarks/latency.py --threads 1 --precision int8",
    )
    parser.add_argument("--spaces", nargs="+", choices=list(_TASK), default=list(_TASK), help="default: all three")
    parser.add_argument("--threads", type=int, help="threads of a call (default: all cores)")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="default: fp32")
    parser.add_argument("--batch-size", type=int, default=1, help="rows of a call (default: 1)")
    parser.add_argument("--sequence-length", type=int, default=128, help="tokens of a row (default: 128)")
    parser.add_argument("--fitted", type=int, default=24, help="candidates that the model sees (default: 24)")
    parser.add_argument("--unseen", type=int, default=20, help="candidates that it predicts (default: 20)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=LatencySetting().num_rounds,
        help="timing blocks per candidate (default: a search's)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of design and draw (default: 0)")
    parser.add_argument("--scratch", help="folder for some GB of ONNX files (default: the system's)")
    parser.add_argument("--quick", action="store_true", help="tiny spaces: about a minute each")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
