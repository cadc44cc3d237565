"""Owns the benchmark of `ose export --model`: model types x tasks as folders with random weights, each exported without
a run, asked through OnnxPipeline, and measured in every format; and real folders that are named.

One row per folder: the worst difference of fp32 to PyTorch, agreement, bytes and median latency of each format, and the
seconds of the whole export. The exit code is 1 if a folder fails.
"""

import argparse
import csv
import dataclasses
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from export_models import (
    DECODER,
    DECODER_SIZES,
    ENCODER,
    IMAGE,
    MODEL_TYPES,
    TEXT_SIZES,
    VOCABULARY_SIZE,
    ModelType,
    build_model,
    build_tokenizer,
)

FORMATS = ("fp32", "dynamic-int8", "weight-int8", "weight-int4", "fp16")
FIELDS = (
    *("type", "task", "verdict", "worst_difference", "largest_output", "default_file", "seconds"),
    *(f"{name} {what}" for name in FORMATS for what in ("bytes", "agreement", "ms")),
    "reason",
)
SEQUENCE = ("text2text-generation",)
WITHOUT_A_TASK = ("image-feature-extraction", "audio-feature-extraction")
"""What `benchmarks/export.py` exports, and no folder is served for."""
_QA = "question-answering"
_NO_QA = tuple(task for task in DECODER if task not in (_QA, "token-classification"))
_PAIR = {
    "vocab_size": VOCABULARY_SIZE,
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "max_position_embeddings": 192,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 3,
}
_SPEECH = {**MODEL_TYPES["wav2vec2"].sizes}
MORE_TYPES: Mapping[str, ModelType] = {
    "ernie": ModelType(config="ErnieConfig", tasks=ENCODER, segments=True),
    "megatron-bert": ModelType(config="MegatronBertConfig", tasks=ENCODER, segments=True),
    "roberta-prelayernorm": ModelType(config="RobertaPreLayerNormConfig", tasks=ENCODER),
    "data2vec-text": ModelType(config="Data2VecTextConfig", tasks=ENCODER),
    "rembert": ModelType(
        config="RemBertConfig",
        tasks=ENCODER,
        sizes={**TEXT_SIZES, "input_embedding_size": 32, "output_embedding_size": 64},
        segments=True,
    ),
    "deberta": ModelType(config="DebertaConfig", tasks=ENCODER, sizes={**TEXT_SIZES, "type_vocab_size": 0}),
    "squeezebert": ModelType(
        config="SqueezeBertConfig", tasks=ENCODER, sizes={**TEXT_SIZES, "embedding_size": 64}, segments=True
    ),
    "roformer": ModelType(
        config="RoFormerConfig", tasks=ENCODER, sizes={**TEXT_SIZES, "embedding_size": 64}, segments=True
    ),
    "convbert": ModelType(config="ConvBertConfig", tasks=ENCODER, sizes={**TEXT_SIZES, "embedding_size": 64}),
    "gpt_neo": ModelType(
        config="GPTNeoConfig",
        tasks=DECODER,
        sizes={name: TEXT_SIZES[name] for name in ("vocab_size", "hidden_size", "max_position_embeddings")}
        | {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 16}
        | {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0},
    ),
    "phi": ModelType(config="PhiConfig", tasks=_NO_QA, sizes=DECODER_SIZES),
    "phi3": ModelType(config="Phi3Config", tasks=_NO_QA, sizes=DECODER_SIZES),
    "stablelm": ModelType(config="StableLmConfig", tasks=_NO_QA, sizes=DECODER_SIZES),
    "starcoder2": ModelType(config="Starcoder2Config", tasks=_NO_QA, sizes=DECODER_SIZES),
    "olmo2": ModelType(config="Olmo2Config", tasks=("feature-extraction", "text-generation"), sizes=DECODER_SIZES),
    "granite": ModelType(config="GraniteConfig", tasks=("feature-extraction", "text-generation"), sizes=DECODER_SIZES),
    "smollm3": ModelType(config="SmolLM3Config", tasks=_NO_QA, sizes=DECODER_SIZES),
    "bloom": ModelType(
        config="BloomConfig",
        tasks=_NO_QA,
        sizes={**{name: TEXT_SIZES[name] for name in ("vocab_size", "hidden_size")}, "n_layer": 2, "n_head": 4},
    ),
    "bart": ModelType(config="BartConfig", tasks=SEQUENCE, sizes=_PAIR),
    "mbart": ModelType(config="MBartConfig", tasks=SEQUENCE, sizes=_PAIR),
    "pegasus": ModelType(config="PegasusConfig", tasks=SEQUENCE, sizes=_PAIR),
    "marian": ModelType(config="MarianConfig", tasks=SEQUENCE, sizes=_PAIR),
    "hubert": ModelType(config="HubertConfig", tasks=("audio-classification",), sizes=_SPEECH),
    "wavlm": ModelType(config="WavLMConfig", tasks=("audio-classification",), sizes=_SPEECH),
    "unispeech": ModelType(config="UniSpeechConfig", tasks=("audio-classification",), sizes=_SPEECH),
    "convnext": ModelType(
        config="ConvNextConfig",
        tasks=IMAGE[1:],
        sizes={"image_size": 32, "hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2},
    ),
}
"""Beside those of `export_models`."""
LEFT_OUT = ("longformer", "whisper", "qwen2")
"""Types of `export_models` that an export without a run refuses, and one whose tokenizer cannot be made up."""
TYPES: Mapping[str, ModelType] = {
    **{
        name: dataclasses.replace(kind, tasks=tuple(task for task in kind.tasks if task not in WITHOUT_A_TASK))
        for name, kind in MODEL_TYPES.items()
        if name not in LEFT_OUT
    },
    "t5": dataclasses.replace(MODEL_TYPES["t5"], tasks=SEQUENCE, classes={}),
    **MORE_TYPES,
}
EXAMPLE = "example: python benchmarks/any_export.py --types bert,llama --model all-MiniLM-L6-v2 --output any_export.csv"


def main() -> int:
    """Run the benchmark; the exit code is 1 if a folder fails."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    options = _parse()
    rows: list[dict[str, Any]] = []
    for row in examined(options):
        rows.append(row)
        print(_line(row), flush=True)
        _write(rows, options.output)
    print(_markdown(rows))
    verdicts = [row["verdict"] for row in rows]
    print(f"{len(rows)} folders of {len({row['type'] for row in rows})} types: {verdicts.count('ok')} ok")
    for row in rows:
        if row["verdict"] != "ok":
            print(f"{row['type']} {row['task']}: {row['reason']}")
    return int(not rows or set(verdicts) != {"ok"})


def examined(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The row of each type and task, then of each real folder."""
    from transformers import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    names = options.types.split(",") if options.types else [] if options.model else TYPES
    for name in names:
        for task in TYPES[name].tasks:
            if options.tasks is None or task in options.tasks.split(","):
                with tempfile.TemporaryDirectory() as folder:
                    yield _examined(name, task, Path(folder), options)
    for model in options.model:
        with tempfile.TemporaryDirectory() as folder:
            yield _row(Path(model).name, "", model, Path(folder) / "out", options, pooling="none")


def _examined(name: str, task: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    try:
        save(name, task, folder / "model")
    except Exception as error:  # noqa: BLE001 - any failure is a finding of the benchmark
        return {"type": name, "task": task, "verdict": "not built", "reason": repr(error)[:300]}
    pooling = "mean" if task == "sentence-embedding" else "none"
    return _row(name, task, folder / "model", folder / "out", options, pooling=pooling)


def save(name: str, task: str, folder: Path) -> None:
    """A folder as `save_pretrained` leaves it, with random weights."""
    import transformers

    build_model(name, task, types=TYPES).save_pretrained(folder)
    tokenizer = build_tokenizer(name, types=TYPES)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    elif task == "image-classification":
        transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    else:
        transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def _row(
    name: str, task: str, model: str | Path, folder: Path, options: argparse.Namespace, *, pooling: Any
) -> dict[str, Any]:
    from optimum_ose import ExportConfig, export_onnx
    from optimum_ose.serving import OnnxPipeline

    config = ExportConfig(
        weight_only=("int8", "int4") if options.every_format else (),
        half_weights=options.every_format,
        block_seconds=options.block_seconds,
        pooling=pooling,
    )
    row: dict[str, Any] = {"type": name, "task": task, "verdict": "failed"}
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report = export_onnx(model, None, folder, config)
            row["seconds"] = time.perf_counter() - start
            for item in report.files:
                OnnxPipeline.from_pretrained(folder, file_name=item.file)
            _ask(OnnxPipeline.from_pretrained(folder))
        except Exception as error:  # noqa: BLE001 - any failure is a finding of the benchmark
            return row | {"reason": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    full = report.files[0]
    row |= {"verdict": "ok", "task": task or report.task, "default_file": report.default_file}
    row |= {"worst_difference": full.worst_difference, "largest_output": full.largest_output}
    for item in report.files:
        kept = {"bytes": item.num_bytes, "agreement": item.agreement, "ms": item.latency_ms}
        row |= {f"{item.format} {what}": value for what, value in kept.items()}
    return row


def _ask(pipeline: Any) -> None:
    """One answer of the default file, whatever the task is."""
    import numpy as np

    direct = pipeline.direct_task
    if pipeline.task == "image-classification":
        pipeline(np.zeros((32, 32, 3), dtype=np.uint8))
    elif pipeline.task == "audio-classification":
        pipeline(np.zeros(16_000, dtype=np.float32))
    else:
        pipeline(pipeline.trial_text if direct is None else direct.trial)


def _line(row: Mapping[str, Any]) -> str:
    head = f"{row['type']:20} {row['task']:24} {row['verdict']:9}"
    if row["verdict"] != "ok":
        return f"{head} {row['reason'][:160]}"
    sizes = " ".join(f"{row[f'{name} bytes'] / 1e3:.0f}" for name in FORMATS if f"{name} bytes" in row)
    return f"{head} {row['worst_difference']:8.1e} {sizes} kB {row['seconds']:.1f} s {row['default_file']}"


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each type: the worst of its tasks, and the sizes of the last one."""
    lines = [
        "| type | tasks | worst difference | " + " | ".join(FORMATS) + ", kB | default is int8 | seconds, median |"
    ]
    lines.append("|" + "---|" * (len(FORMATS) + 5))
    for name in dict.fromkeys(row["type"] for row in rows if row["verdict"] == "ok"):
        own = [row for row in rows if row["type"] == name and row["verdict"] == "ok"]
        worst = max(row["worst_difference"] / max(1.0, row["largest_output"]) for row in own)
        sizes = [f"{own[-1][f'{kind} bytes'] / 1e3:,.0f}" if f"{kind} bytes" in own[-1] else "" for kind in FORMATS]
        num_int8 = sum("quantized" in row["default_file"] for row in own)
        seconds = sorted(row["seconds"] for row in own)[len(own) // 2]
        cells = [name, str(len(own)), f"{worst:.1e}", *sizes, f"{num_int8} of {len(own)}", f"{seconds:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _write(rows: Sequence[Mapping[str, Any]], path: Path | None) -> None:
    if path is not None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, restval="")
            writer.writeheader()
            writer.writerows(rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0], epilog=EXAMPLE)
    parser.add_argument(
        "--types", help="model types, separated by commas; default: all, or none where --model is given"
    )
    parser.add_argument("--tasks", help="tasks, separated by commas; default: all of each type")
    parser.add_argument("--model", action="append", default=[], help="a real folder or Hub id; may come several times")
    parser.add_argument("--every-format", action="store_true", help="weight-only and fp16 files too")
    parser.add_argument("--block-seconds", type=float, default=0.02, help="length of a timing block; three per format")
    parser.add_argument("--output", type=Path, help="csv file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
