"""A card tells what happened, in metadata that the Hub reads, and nothing else."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, ModelCardData, metadata_load
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.card_rules import card_faults
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.hub.card import build_model_card
from optimum_ose.hub.facts import Candidate, Carbon, CardFacts, Score, Size
from optimum_ose.hub.usage import named_card

FORMATS = ("pytorch-fp32", "onnx-fp32", "onnx-int8")
BENCHMARK = {
    "batch_size": 1,
    "num_threads": 2,
    "sequence_length": 128,
    "num_contended_blocks": 0,
    "results": [
        {
            "model": model,
            "format": kind,
            "p50_ms": 10.0 * n,
            "p95_ms": 12.0 * n,
            "size_bytes": 4_000_000 * n,
        }
        for model, n in (("teacher", 5), ("student", 1))
        for kind in FORMATS
    ],
    "machine": {"cpu": "Some | CPU", "cpu_flags": ["avx2", "avx512_vnni"]},
}
FACTS = CardFacts(
    model_name="tiny sentiment",
    repo_id="me/tiny",
    base_model="them/large",
    license="apache-2.0",
    languages=("en",),
    dataset_name="Reviews",
    dataset_id="them/reviews",
    labels=("negative", "positive"),
    scores=(
        Score(model="teacher", format="pytorch-fp32", metric="accuracy", value=0.95, split="test"),
        Score(model="student", format="pytorch-fp32", metric="accuracy", value=0.94, split="test"),
        Score(model="student", format="onnx-int8", metric="accuracy", value=0.935, split="test"),
        Score(model="student", format="onnx-fp32", metric="f1", value=math.nan, split="test"),
    ),
    sizes=(
        Size(model="teacher", parameters=22_700_000, parameters_without_embeddings=10_800_000, multiply_adds=10**9),
        Size(model="student", parameters=5_000_000, parameters_without_embeddings=1_000_000),
    ),
    benchmark=BENCHMARK,
    default_file="onnx/model_quantized.onnx",
    certificate="W is within 5% of the best, assuming monotone error.",
    candidates=(
        Candidate(architecture={"hidden_size": 96}, parameter_size=5_000_000, inference_cost=1.5, error=0.25, w=2.5),
        Candidate(architecture={"hidden_size": 64}, parameter_size=4e6, inference_cost=1.0, error=0.5, w=1.5),
    ),
    maximum_point=Candidate(architecture={"hidden_size": 384}, parameter_size=22_700_000, inference_cost=9.5),
    plot="ose/pareto.png",
    num_rows={"train": 1200, "test": 300},
    training=("The teacher came fine-tuned.", "The student was distilled\nfor 2,000 steps."),
    versions={"torch": "2.13.0"},
)


def metadata(card: str, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "README.md").write_text(card)
    loaded = metadata_load(tmp_path / "README.md")
    assert loaded is not None
    return loaded


def test_every_table_has_a_line_that_makes_it_one() -> None:
    lines = build_model_card(FACTS).splitlines()
    first = [n for n, line in enumerate(lines) if line.startswith("|") and not lines[n - 1].startswith("|")]
    assert len(first) > 3
    for n in first:
        num_cells = lines[n].replace(r"\|", "").count("|") - 1
        assert lines[n + 1] == "| " + " | ".join(["---", *["---:"] * (num_cells - 1)]) + " |"


def test_the_metadata_is_what_the_hub_reads(tmp_path: Path) -> None:
    loaded = metadata(build_model_card(FACTS), tmp_path)
    assert loaded["base_model"] == "them/large"
    assert loaded["license"] == "apache-2.0"
    assert loaded["language"] == ["en"]
    assert loaded["datasets"] == ["them/reviews"]
    assert loaded["library_name"] == "transformers"
    assert loaded["pipeline_tag"] == "text-classification"
    assert {"optimum-ose", "onnx"} <= set(loaded["tags"])
    (model,) = loaded["model-index"]
    metrics = [metric for result in model["results"] for metric in result["metrics"]]
    assert [metric["value"] for metric in metrics] == [0.94, 0.935]
    assert [metric["name"] for metric in metrics] == ["accuracy (PyTorch fp32)", "accuracy (ONNX int8)"]


def test_the_metadata_survives_a_round_trip_through_the_library(tmp_path: Path) -> None:
    data = ModelCard(build_model_card(FACTS)).data
    again = ModelCardData(**data.to_dict(), ignore_metadata_errors=False)
    assert again.to_dict() == data.to_dict() == metadata(build_model_card(FACTS), tmp_path)
    assert data.eval_results is not None
    assert len(data.eval_results) == 2


def test_the_tables_hold_the_figures() -> None:
    card = build_model_card(FACTS)
    for row in (
        "| accuracy on test | teacher | student |",
        "| PyTorch fp32 | 0.9500 | 0.9400 |",
        "| ONNX int8 |  | 0.9350 |",
        "| parameters | 22,700,000 | 5,000,000 |",
        "| without embeddings | 10,800,000 | 1,000,000 |",
        "| multiply-adds (128 tokens) | 1,000,000,000 |  |",
        "| ONNX int8, MB | 20.0 | 4.0 |",
        "| ONNX int8 | 50.00 (60.00) | 10.00 (12.00) |",
        "| extracted | 96 | 5,000,000 | 1.5 | 0.25 | 2.5 |",
        "| runner-up | 64 | 4,000,000 | 1 | 0.5 | 1.5 |",
        "| maximum point T | 384 | 22,700,000 | 9.5 |  |  |",
        "![Size, error and cost of every trained candidate, and the winner](ose/pareto.png)",
        "The teacher came fine-tuned.",
        "The student was distilled for 2,000 steps.",
    ):
        assert row in card.splitlines()
    assert "2 thread(s) on Some \\| CPU avx2 avx512_vnni;" in card
    assert "W is within 5% of the best, assuming monotone error." in card
    assert "Data: Reviews (1,200 train, 300 test rows)." in card
    assert "torch 2.13.0" in card
    assert "CO2" not in card
    assert "nan" not in card
    assert "f1" not in card


def test_emissions_are_told_in_the_metadata_too_where_a_tracker_ran(tmp_path: Path) -> None:
    carbon = Carbon(grams=12.5, source="codecarbon 3.3.2", hardware="Some CPU", location="France")
    card = build_model_card(dataclasses.replace(FACTS, carbon=carbon))
    assert "12.5 g of CO2 equivalents, estimated by codecarbon 3.3.2 (Some CPU, France)." in card.splitlines()
    assert metadata(card, tmp_path)["co2_eq_emissions"] == {
        "emissions": 12.5,
        "source": "codecarbon 3.3.2",
        "training_type": "fine-tuning",
        "geographical_location": "France",
        "hardware_used": "Some CPU",
    }
    assert card_faults(card) == []


def test_a_license_that_the_hub_does_not_list_keeps_its_name_and_link(tmp_path: Path) -> None:
    terms = {"license": "other", "license_name": "my-terms", "license_link": "https://example.org/terms"}
    loaded = metadata(build_model_card(dataclasses.replace(FACTS, **terms)), tmp_path)
    assert {name: loaded[name] for name in terms} == terms


def test_the_hub_s_rules_find_no_fault_in_a_full_card_and_a_least_one() -> None:
    assert card_faults(build_model_card(FACTS)) == []
    assert card_faults(build_model_card(CardFacts(model_name="tiny"))) == []
    broken = build_model_card(FACTS).replace("base_model: them/large", "base_model: /home/me/large")
    assert card_faults(broken) == ['"base_model" must name a repository']


def test_contention_is_told() -> None:
    facts = dataclasses.replace(FACTS, benchmark={**BENCHMARK, "num_contended_blocks": 3})
    assert "Other processes used the CPU during 3 of the measured blocks." in build_model_card(facts)


def test_examples_of_use_are_there_for_each_way_to_ask() -> None:
    card = build_model_card(FACTS)
    for line in (
        'model = pipeline("text-classification", model="me/tiny")',
        'model = OnnxPipeline.from_pretrained(snapshot_download("me/tiny"))',
        'const model = await pipeline("text-classification", "me/tiny", { dtype: "q8" });',
        "hf download me/tiny --local-dir model",
        'curl http://127.0.0.1:8080/predict --data \'{"inputs": "A text."}\'',
    ):
        assert line in card.splitlines()
    for code in (part.split("```")[0] for part in card.split("```python\n")[1:]):
        compile(code, "example", "exec")


def test_examples_for_a_folder_become_examples_for_the_repository_it_is_pushed_to() -> None:
    for pairs in (False, True):
        local = dataclasses.replace(FACTS, repo_id=None, takes_pairs=pairs)
        card = build_model_card(local)
        assert "path/to/this/folder" in card
        assert named_card(card, "me/tiny") == build_model_card(dataclasses.replace(FACTS, takes_pairs=pairs))
        edited = card.replace("A text.", "My own text.").replace("A first text.", "My own text.")
        assert named_card(edited, "me/tiny") == edited


def test_examples_of_images_show_a_file() -> None:
    facts = dataclasses.replace(FACTS, task="image-classification")
    local = build_model_card(dataclasses.replace(facts, repo_id=None))
    card = build_model_card(facts)
    assert 'print(model("path/to/an/image.png"))' in local.split("OnnxPipeline.from_pretrained")[1]
    assert "curl http://127.0.0.1:8080/predict --data-binary @path/to/an/image.png" in card
    assert 'console.log(await model("path/to/an/image.png"));' in card
    assert named_card(local, "me/tiny") == card


def test_examples_of_questions_show_a_question_and_no_pipeline_that_is_gone() -> None:
    card = build_model_card(dataclasses.replace(FACTS, task="question-answering"))
    assert """--data '{"inputs": {"question": "Who wrote it?", "context": "It was written by Ada."}}'""" in card
    assert 'console.log(await model("Who wrote it?", "It was written by Ada."));' in card
    assert "from transformers import pipeline" not in card


def test_the_examples_for_a_folder_show_javascript_too() -> None:
    card = build_model_card(dataclasses.replace(FACTS, repo_id=None))
    for line in (
        'import { env, pipeline } from "@huggingface/transformers";',
        'env.localModelPath = "path/to/this";',
        'const model = await pipeline("text-classification", "folder", { dtype: "q8" });',
    ):
        assert line in card.splitlines()


def test_a_model_of_pairs_shows_pairs_and_no_javascript() -> None:
    card = build_model_card(dataclasses.replace(FACTS, takes_pairs=True))
    assert 'print(model({"text": "A first text.", "text_pair": "A second one."}))' in card
    assert "transformers.js" not in card


def test_the_least_card_invents_nothing(tmp_path: Path) -> None:
    card = build_model_card(CardFacts(model_name="tiny", task="fill-mask"))
    assert [line for line in card.splitlines() if line.startswith("#")] == ["# tiny", "## Use"]
    loaded = metadata(card, tmp_path)
    assert set(loaded) == {"library_name", "pipeline_tag", "tags"}
    assert "http" not in card
    assert "None" not in card


def test_scores_without_a_data_set_stay_out_of_the_metadata(tmp_path: Path) -> None:
    card = build_model_card(dataclasses.replace(FACTS, dataset_name=None, dataset_id=None))
    assert "model-index" not in metadata(card, tmp_path)
    assert "| PyTorch fp32 | 0.9500 | 0.9400 |" in card


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(lambda text: "x" + text))
def test_no_name_can_break_the_metadata_or_a_table(text: str) -> None:
    facts = dataclasses.replace(
        FACTS,
        model_name=text,
        dataset_name=text,
        labels=(text,),
        training=(text,),
        carbon=Carbon(grams=1.0, source=text, hardware=text),
        versions={text: text},
    )
    card = ModelCard(build_model_card(facts))
    assert card.data.model_name == " ".join(text.split())
    assert card.data.pipeline_tag == "text-classification"
    headings = [line for line in card.text.split("\n") if line.startswith("## ")]
    named = ("Scores", "Size", "Latency", "Architecture search", "Training", "Use", "Emissions", "Made with")
    assert headings == [f"## {name}" for name in named]


@pytest.mark.parametrize("name", ["repo_id", "base_model", "dataset_id"])
def test_a_path_of_this_machine_cannot_get_into_a_card(name: str) -> None:
    with pytest.raises(InvalidConfigError, match=rf"{name} must be a Hub id .*; got '/home/me/model'\. Leave it out"):
        CardFacts(model_name="tiny", **{name: "/home/me/model"})
