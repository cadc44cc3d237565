"""Candidates are timed as they would be served, once; every timing block is on the disk before the next begins."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from transformers import BertConfig, PretrainedConfig, ViTConfig

from export.tiny_text import BERT_SIZES, tiny_classifier, tiny_tokenizer
from optimum_ose.configuration.latency import LatencySetting
from optimum_ose.core.architecture import Architecture
from optimum_ose.export.latency_meter import LatencyMeter, Measured, measure_file, summarized
from optimum_ose.export.latency_probe import Block, export_for_timing, random_model, time_block
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import open_session
from optimum_ose.journal import Journal
from optimum_ose.processes import num_usable_cores
from optimum_ose.progress import SilentListener

TOKENIZER = tiny_tokenizer()
QUICK = {"num_threads": 1, "num_rounds": 3, "block_seconds": 0.005}
SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
MIDDLE = SMALL.replace(num_hidden_layers=2)
LARGE = Architecture(num_hidden_layers=6, num_attention_heads=16, hidden_size=256, intermediate_size=1024)
CONFIG = BertConfig(**{**BERT_SIZES, "num_labels": 3})


def meter(path: Path, *, length: int = 32, **changes: Any) -> LatencyMeter:
    return LatencyMeter(
        CONFIG,
        TOKENIZER,
        task="text-classification",
        setting=LatencySetting(**{**QUICK, **changes}),
        sequence_length=length,
        journal=Journal(path, question={"x": 1}),
        scratch=path.with_name("scratch"),
        listener=SilentListener(),
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Measured]]:
    """A journal of three candidates and what it tells; to be read only."""
    path = tmp_path_factory.mktemp("latency") / "journal.jsonl"
    return path, meter(path).measure([SMALL, MIDDLE, LARGE])


def test_every_candidate_gets_a_block_in_every_round_and_each_round_starts_with_another(
    measured: tuple[Path, list[Measured]],
) -> None:
    blocks = [json.loads(line) for line in measured[0].read_text().splitlines()[1:]]
    orders = [[Architecture(block["architecture"]) for block in blocks if block["round"] == turn] for turn in range(3)]
    assert orders == [[SMALL, MIDDLE, LARGE], [MIDDLE, LARGE, SMALL], [LARGE, SMALL, MIDDLE]]
    assert all(0 < block["min_ms"] <= block["p50_ms"] and block["num_calls"] >= 1 for block in blocks)


def test_a_network_hundreds_of_times_larger_takes_longer(measured: tuple[Path, list[Measured]]) -> None:
    small, _, large = measured[1]
    assert large.latency_ms > small.latency_ms > 0


def test_nothing_is_left_of_the_files_that_were_timed(measured: tuple[Path, list[Measured]]) -> None:
    assert [path.name for path in measured[0].parent.iterdir()] == ["journal.jsonl"]


@pytest.mark.parametrize("num_blocks", [0, 1, 4, 9])
def test_killed_after_any_block_it_keeps_the_blocks_and_measures_only_the_others(
    measured: tuple[Path, list[Measured]], tmp_path: Path, num_blocks: int
) -> None:
    lines = measured[0].read_bytes().splitlines(keepends=True)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(lines[: 1 + num_blocks]))
    (tmp_path / "scratch").mkdir()  # as a killed process leaves it
    again = meter(path).measure([SMALL, MIDDLE, LARGE])
    assert not (tmp_path / "scratch").exists()
    resumed = path.read_bytes().splitlines(keepends=True)
    assert resumed[: 1 + num_blocks] == lines[: 1 + num_blocks]
    assert len(resumed) == len(lines)
    if num_blocks == 9:
        assert again == measured[1]


@pytest.mark.parametrize("changes", [{"precision": "int8"}, {"batch_size": 2}, {"length": 16}])
def test_a_latency_at_another_setting_does_not_count(
    measured: tuple[Path, list[Measured]], tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(measured[0].read_bytes())
    other = meter(path, **changes)
    other.measure([SMALL])
    assert len(path.read_bytes().splitlines()) == 1 + 9 + 3
    assert other.conditions != meter(path).conditions


def test_threads_are_all_usable_cores_unless_told(tmp_path: Path) -> None:
    assert meter(tmp_path / "a", num_threads=None).conditions["num_threads"] == num_usable_cores()
    assert meter(tmp_path / "b", num_threads=1).conditions["num_threads"] == 1


def test_a_finished_file_is_measured_at_the_same_setting(tmp_path: Path) -> None:
    model = tiny_classifier()
    path = export_onnx(model, TOKENIZER, tmp_path)
    found = measure_file(path, model, TOKENIZER, setting=LatencySetting(**QUICK), sequence_length=32)
    assert found.latency_ms > 0
    assert 0 <= found.num_contended_blocks <= 3


def block(p50_ms: float, *, contended: bool, min_ms: float = 1.0, cpu_ms: float | None = None) -> Block:
    return Block(p50_ms=p50_ms, min_ms=min_ms, cpu_ms=cpu_ms, num_calls=9, contended=contended)


def test_disturbed_blocks_do_not_count_beside_undisturbed_ones() -> None:
    blocks = [block(2.0, contended=False), block(9.0, contended=True), block(4.0, contended=False)]
    assert summarized(blocks) == Measured(latency_ms=3.0, slowest_ms=4.0, num_contended_blocks=1)


def test_if_all_are_disturbed_the_cpu_time_of_one_thread_counts_or_else_the_shortest_call() -> None:
    blocks = [block(9.0, contended=True, cpu_ms=cpu) for cpu in (2.0, 2.5, 4.0)]
    assert summarized(blocks) == Measured(latency_ms=2.5, slowest_ms=4.0, num_contended_blocks=3)
    blocks = [block(9.0, contended=True, min_ms=shortest) for shortest in (2.0, 2.5, 4.0)]
    assert summarized(blocks) == Measured(latency_ms=2.0, slowest_ms=2.0, num_contended_blocks=3)


def test_random_weights_are_seeded_and_leave_the_callers_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = (random_model(CONFIG, SMALL, task=None, seed=3) for _ in range(2))
    assert torch.rand(1) == expected
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert first.config.hidden_size == 16


def test_an_int8_candidate_is_the_quantized_file_and_nothing_else(tmp_path: Path) -> None:
    model = random_model(CONFIG, SMALL, task="text-classification", seed=0)
    file = export_for_timing(model, TOKENIZER, tmp_path, precision="int8", batch_size=2, sequence_length=8)
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model_quantized.onnx"]
    assert "MatMulInteger" in {node.op_type for node in onnx.load(file.path).graph.node}
    assert tuple(file.inputs["input_ids"].shape) == (2, 8)


@pytest.mark.parametrize("image_size", [16, (16, 24)])
def test_an_image_encoder_is_exported_and_timed_from_pixels(tmp_path: Path, image_size: Any) -> None:
    config: PretrainedConfig = ViTConfig(
        image_size=image_size,
        patch_size=8,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
    )
    model = random_model(config, Architecture(num_hidden_layers=2), task=None, seed=0)
    file = export_for_timing(model, None, tmp_path, precision="fp32", batch_size=2, sequence_length=128)
    assert [item.name for item in open_session(file.path).get_inputs()] == ["pixel_values"]
    assert tuple(file.inputs["pixel_values"].shape)[:2] == (2, 3)
    assert time_block(file, num_threads=1, block_seconds=0.001).p50_ms > 0
