"""What is pushed comes back whole, and nothing else is pushed."""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from export.tiny_text import tiny_classifier, tiny_tokenizer
from hub.loopback_hub import LoopbackHub
from optimum_ose.exceptions import InvalidConfigError, OutputFolderError
from optimum_ose.hub.upload import _card, layout_files, push_to_hub
from optimum_ose.hub.usage import named_card
from runs import run

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


def user(endpoint: str, home: Path, **settings: str) -> dict[str, str]:
    """The environment of a user of this Hub; the client reads it when it is imported."""
    return {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_loopback",
        "NO_PROXY": "127.0.0.1",
        **settings,
    }


def client(hub: LoopbackHub, home: Path, script: str, *arguments: str) -> Any:
    """What a script answers as a user of this Hub."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    environment = user(hub.endpoint, home)
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
    assert all(pushed[name] == (folder / name).read_bytes() for name in PUSHED - {"README.md"})
    assert pushed["README.md"].decode() == named_card((folder / "README.md").read_text(), "me/tiny")
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() in hub.objects
    client(hub, tmp_path, PUSH, str(folder), json.dumps({"revision": "branch"}))
    answers = client(
        hub,
        tmp_path,
        """
        import json, torch
        from huggingface_hub import snapshot_download
        from optimum_ose.commands.provenance import provenance
        from optimum_ose.commands.request import RunRequest
        from optimum_ose.serving import OnnxPipeline
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained("me/tiny")
        model = AutoModelForSequenceClassification.from_pretrained("me/tiny", revision="branch")
        with torch.inference_mode():
            logits = model(**tokenizer("a good film", return_tensors="pt")).logits
        served = OnnxPipeline.from_pretrained(snapshot_download("me/tiny"))("a good film", top_k=None)
        heir = provenance(RunRequest(model="me/tiny", dataset="data"))
        print(json.dumps({"logits": logits.tolist(), "served": served, "heir": heir}))
        """,
    )
    inherited = {"base_model": "me/tiny", "license": "apache-2.0", "languages": ["en"]}
    assert answers["heir"] == {**inherited, "dataset_name": "data", "dataset_id": "data"}
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


@pytest.mark.parametrize("fault", ["failures_left", "cuts_left"], ids=["busy at first", "cut in the middle of a file"])
def test_an_upload_survives_a_fault_of_the_hub(hub: LoopbackHub, folder: Path, tmp_path: Path, fault: str) -> None:
    setattr(hub, fault, 1)
    client(hub, tmp_path, PUSH, str(folder), "{}")
    assert getattr(hub, fault) == 0
    assert set(hub.repositories["me/tiny"].commits[hub.repositories["me/tiny"].refs["main"]]) >= PUSHED


def test_a_push_that_is_killed_between_files_goes_on_and_sends_no_large_file_twice(
    hub: LoopbackHub, folder: Path, tmp_path: Path
) -> None:
    hub.uploads_before_stall = 2
    command = [sys.executable, "-c", textwrap.dedent(PUSH), str(folder), "{}"]
    with subprocess.Popen(command, env=user(hub.endpoint, tmp_path), stderr=subprocess.DEVNULL) as process:
        events = [hub.events.get(timeout=120).split()[0] for _ in range(4)]  # one for each large file
        process.kill()
    assert sorted(events) == ["stalled", "stalled", "stored", "stored"]
    repository = hub.repositories["me/tiny"]
    assert repository.messages == ["initial commit"]  # nobody sees half a model
    hub.uploads_before_stall = None
    hub.released.set()
    stored = set(hub.objects)
    assert len(stored) == 2
    client(hub, tmp_path, PUSH, str(folder), "{}")
    assert set(repository.commits[repository.refs["main"]]) >= PUSHED
    sent_again = [event.split()[1] for event in list(hub.events.queue) if event.startswith("stored")]
    assert set(sent_again) == set(hub.objects) - stored
    assert len(sent_again) == len(set(sent_again)) == 2


@pytest.mark.skipif(
    huggingface_hub.__version__.startswith("0."), reason="it asks huggingface.co, whatever HF_ENDPOINT says"
)
def test_the_card_passes_the_validation_of_the_client(hub: LoopbackHub, folder: Path, tmp_path: Path) -> None:
    validate = """
        import sys
        from huggingface_hub import ModelCard
        ModelCard.load(sys.argv[1]).validate()
        try:
            ModelCard("---\\nlicense: mine\\n---\\n").validate()
        except ValueError as error:
            print(error)
    """
    assert client(hub, tmp_path, validate, str(folder / "README.md"))["errors"]


@pytest.mark.parametrize(
    ("endpoint", "settings", "reason"),
    [
        (None, {"HF_TOKEN": "hf_wrong"}, "401"),
        ("http://127.0.0.1:9", {}, "Connect"),  # ConnectError or, in earlier versions of the client, ConnectionError
        (None, {"HF_HUB_OFFLINE": "1"}, "OfflineModeIsEnabled"),
    ],
)
def test_a_push_that_fails_says_why_and_what_to_do(
    hub: LoopbackHub, folder: Path, tmp_path: Path, endpoint: str | None, settings: dict[str, str], reason: str
) -> None:
    command = [sys.executable, "-m", "optimum_ose", "push", str(folder), "me/tiny"]
    environment = user(endpoint or hub.endpoint, tmp_path, **settings)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "optimum-ose: The Hub must take the upload to me/tiny; " in result.stderr
    assert reason in result.stderr
    assert "push again: what has arrived is not sent twice" in result.stderr


def test_a_name_that_is_no_hub_id_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"must be a Hub id such as user/name; got 'a/b/c'\. Give user/name"):
        push_to_hub(folder, "a/b/c", dry_run=True)


def test_a_dry_run_names_the_files_and_sends_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        url = push_to_hub(SimpleNamespace(path=folder), "me/tiny", dry_run=True)
    assert url.endswith("/me/tiny")
    assert "would upload to me/tiny: README.md, config.json" in caplog.text
    assert set(layout_files(folder)) - OPTIONAL == PUSHED


def test_the_command_says_that_a_dry_run_sent_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, ["push", str(folder), "me/tiny", "--dry-run"])
    *files, last = capsys.readouterr().out.splitlines()
    assert files == layout_files(folder)
    assert last.startswith(f"nothing was sent; without --dry-run these {len(files)} files go to http")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "README.md"])
def test_an_incomplete_folder_is_refused_before_anything_is_sent(folder: Path, tmp_path: Path, name: str) -> None:
    for present in {"config.json", "model.safetensors", "README.md"} - {name}:
        (tmp_path / present).write_text("x")
    with pytest.raises(OutputFolderError, match=rf"must be a complete model folder; it lacks {name}\. Finish the run"):
        push_to_hub(tmp_path, "me/tiny")


@contextmanager
def other_server(status: int, content: bytes, **headers: str) -> Iterator[str]:
    """Something that is no Hub and gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_HEAD = do_PUT = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (200, b"<html>log in</html>", {"Content-Type": "text/html"}),
        (200, b"{}", {"Content-Type": "application/json"}),
        (200, b"[1]", {"Content-Type": "application/json"}),
        (302, b"", {"Location": "/login"}),
        (403, b"no \x1b[31mright", {}),
        (401, b"", {}),
        (409, b"there", {}),
        (500, b"broken", {}),
    ],
)
def test_a_server_that_answers_otherwise_than_the_hub_is_an_error_in_words(
    folder: Path, tmp_path: Path, status: int, content: bytes, headers: dict[str, str]
) -> None:
    with other_server(status, content, **headers) as endpoint:
        result = subprocess.run(
            [sys.executable, "-m", "optimum_ose", "push", str(folder), "me/tiny"],
            env=user(endpoint, tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "optimum-ose: The " in result.stderr
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) <= 10


def test_a_repository_that_is_public_gets_nothing_that_shall_be_private(
    hub: LoopbackHub, folder: Path, tmp_path: Path
) -> None:
    client(hub, tmp_path, PUSH, str(folder), "{}")
    before = dict(hub.repositories["me/tiny"].commits)
    command = [sys.executable, "-m", "optimum_ose", "push", str(folder), "me/tiny", "--private"]
    result = subprocess.run(command, env=user(hub.endpoint, tmp_path), capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "must be private; it exists and is public" in result.stderr
    assert hub.repositories["me/tiny"].commits == before


@pytest.mark.parametrize("link", ["onnx", "onnx/model.onnx", "README.md", "ose"])
def test_links_out_of_the_folder_are_not_published(folder: Path, tmp_path: Path, link: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / link).rename(tmp_path / "elsewhere")
    (copy / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputFolderError, match="must hold its files itself; .* lead out of it"):
        layout_files(copy)


@pytest.mark.parametrize("target", ["nothing", "model.onnx"], ids=["to nothing", "to itself"])
def test_broken_links_are_named(folder: Path, tmp_path: Path, target: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "onnx" / "model.onnx").unlink()
    (copy / "onnx" / "model.onnx").symlink_to(target)
    with pytest.raises(OutputFolderError, match=r"onnx/model\.onnx lead out of it, or to nothing"):
        layout_files(copy)


def test_a_run_that_lost_a_record_is_told_of_it(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "ose" / "benchmark.json").unlink()
    with caplog.at_level(logging.WARNING):
        push_to_hub(copy, "me/tiny", dry_run=True)
    assert "lacks ose/benchmark.json: the upload goes without" in caplog.text


def test_an_edited_card_that_cannot_be_read_goes_as_it_is(folder: Path, tmp_path: Path) -> None:
    for content in (b"---\n: [\n---\n# mine\n", b"caf\xe9"):
        (tmp_path / "README.md").write_bytes(content)
        assert _card(tmp_path / "README.md", "me/tiny") == content
