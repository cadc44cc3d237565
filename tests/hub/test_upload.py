"""What is pushed comes back whole, and nothing else is pushed."""

import hashlib
import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from export.tiny_text import tiny_classifier, tiny_tokenizer
from hub.loopback_hub import LoopbackHub
from optimum_ose.exceptions import OutputFolderError
from optimum_ose.hub.upload import layout_files, push_to_hub

PUSHED = {
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "onnx/model.onnx",
    "onnx/model_quantized.onnx",
    "ose/search.json",
    "ose/journal.jsonl",
    "ose/benchmark.json",
    "ose/environment.json",
    "ose/pareto.png",
}
OPTIONAL = {"special_tokens_map.json"}  # transformers 4 writes it


def client(hub: LoopbackHub, home: Path, script: str, *arguments: str) -> Any:
    """Run a script as a user of this Hub; the client reads its settings when it is imported."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_loopback",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


PUSH = """
    import json, sys
    from optimum_ose.hub.upload import push_to_hub
    print(json.dumps(push_to_hub(sys.argv[1], "me/tiny", **json.loads(sys.argv[2]))))
"""


def test_a_pushed_model_comes_back_whole(hub: LoopbackHub, folder: Path, tmp_path: Path) -> None:
    url = client(hub, tmp_path, PUSH, str(folder), json.dumps({"commit_message": "A message"}))
    assert url == f"{hub.endpoint}/me/tiny"
    repository = hub.repositories["me/tiny"]
    assert repository.messages == ["initial commit", "A message"]
    assert not repository.private
    pushed = repository.commits[repository.refs["main"]]
    assert set(pushed) - {".gitattributes"} - OPTIONAL == PUSHED
    assert all(pushed[name] == (folder / name).read_bytes() for name in PUSHED)
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() in hub.objects
    answers = client(
        hub,
        tmp_path,
        """
        import json, torch
        from huggingface_hub import snapshot_download
        from optimum_ose.serving import OnnxPipeline
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained("me/tiny")
        model = AutoModelForSequenceClassification.from_pretrained("me/tiny")
        with torch.inference_mode():
            logits = model(**tokenizer("a good film", return_tensors="pt")).logits
        served = OnnxPipeline.from_pretrained(snapshot_download("me/tiny"))("a good film", top_k=None)
        print(json.dumps({"logits": logits.tolist(), "served": served}))
        """,
    )
    logits = tiny_classifier()(**tiny_tokenizer()("a good film", return_tensors="pt")).logits
    assert answers["logits"] == [pytest.approx(row, abs=1e-6) for row in logits.tolist()]
    scores = {item["label"]: item["score"] for item in answers["served"]}
    assert [scores[f"LABEL_{index}"] for index in range(3)] == pytest.approx(logits.softmax(-1)[0].tolist(), abs=1e-5)


def test_a_private_branch_is_created_and_a_second_push_adds_to_it(
    hub: LoopbackHub, folder: Path, tmp_path: Path
) -> None:
    options = json.dumps({"private": True, "revision": "small"})
    for _ in range(2):
        client(hub, tmp_path, PUSH, str(folder), options)
    repository = hub.repositories["me/tiny"]
    assert repository.private
    assert set(repository.commits[repository.refs["main"]]) == {".gitattributes"}
    assert set(repository.commits[repository.refs["small"]]) >= PUSHED


def test_an_upload_survives_a_hub_that_is_busy_at_first(hub: LoopbackHub, folder: Path, tmp_path: Path) -> None:
    hub.failures_left = 1
    client(hub, tmp_path, PUSH, str(folder), "{}")
    assert hub.failures_left == 0
    assert set(hub.repositories["me/tiny"].commits[hub.repositories["me/tiny"].refs["main"]]) >= PUSHED


def test_a_dry_run_names_the_files_and_sends_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        url = push_to_hub(SimpleNamespace(path=folder), "me/tiny", dry_run=True)
    assert url.endswith("/me/tiny")
    assert "would upload to me/tiny: README.md, config.json" in caplog.text
    assert set(layout_files(folder)) - OPTIONAL == PUSHED


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "README.md"])
def test_an_incomplete_folder_is_refused_before_anything_is_sent(folder: Path, tmp_path: Path, name: str) -> None:
    for present in {"config.json", "model.safetensors", "README.md"} - {name}:
        (tmp_path / present).write_text("x")
    with pytest.raises(OutputFolderError, match=rf"must be a complete model folder; it lacks {name}\. Finish the run"):
        push_to_hub(tmp_path, "me/tiny")
