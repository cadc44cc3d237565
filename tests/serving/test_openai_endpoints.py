"""OpenAI's client gets from /v1 what the pipeline gives, and hostile bodies get a status."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.exposure import Exposure
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.served_folders import wave_file
from serving.server_client import ask, running

TEXTS = ["the cat sat", "a good movie", ""]
KEY = "0123456789abcdef"
LIMITS = ServerLimits(max_texts=4, max_text_characters=100)


@pytest.fixture(scope="module")
def embedder(folder_of: Callable[[str], Path]) -> Iterator[int]:
    server = create_server(folder_of("sentence-embedding"), port=0, name="vectors", num_threads=1, limits=LIMITS)
    with running(server) as port:
        yield port


@pytest.fixture(scope="module")
def expected(folder_of: Callable[[str], Path]) -> Any:
    """Vectors of length 1, computed in Python."""
    rows = np.array(OnnxPipeline.from_pretrained(folder_of("sentence-embedding"), num_threads=1)(TEXTS))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def client(port: int, key: str = KEY) -> Any:
    openai = pytest.importorskip("openai", reason="needs the package openai: make setup installs it")
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0, timeout=20)


def embed(port: int, **body: object) -> tuple[int, Any]:
    return ask(port, json.dumps(body).encode(), path="/v1/embeddings")


@pytest.mark.parametrize("form", [None, "float", "base64"])
def test_the_client_gets_vectors_of_length_one(embedder: int, expected: Any, form: str | None) -> None:
    options = {} if form is None else {"encoding_format": form}
    with client(embedder) as openai:
        answer = openai.embeddings.create(model="text-embedding-3-small", input=TEXTS, **options)
        lone = openai.embeddings.create(model="any", input=TEXTS[0], dimensions=5)
    assert (answer.model, answer.object, [item.index for item in answer.data]) == ("vectors", "list", [0, 1, 2])
    if form == "base64":  # asked for by name, the client hands it on as it came
        vectors = [np.frombuffer(base64.b64decode(item.embedding), dtype="<f4") for item in answer.data]
    else:
        vectors = [item.embedding for item in answer.data]
    assert np.allclose(vectors, expected, atol=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 5 + 5 + 2
    short = expected[0][:5] / np.linalg.norm(expected[0][:5])
    assert np.allclose(lone.data[0].embedding, short, atol=1e-5)


def test_both_encodings_hold_the_same_numbers(embedder: int, expected: Any) -> None:
    status, floats = embed(embedder, input=TEXTS)
    assert (status, set(floats)) == (200, {"object", "data", "model", "usage"})
    coded = embed(embedder, input=TEXTS, encoding_format="base64")[1]
    for plain, packed in zip(floats["data"], coded["data"], strict=True):
        vector = np.frombuffer(base64.b64decode(packed["embedding"]), dtype="<f4")
        assert np.allclose(plain["embedding"], vector, atol=1e-7)
    assert np.allclose([item["embedding"] for item in floats["data"]], expected, atol=1e-5)


def test_the_client_finds_the_model(embedder: int) -> None:
    with client(embedder) as openai:
        assert [model.id for model in openai.models.list()] == ["vectors"]
        assert openai.models.retrieve("vectors").object == "model"
    status, refusal = ask(embedder, None, method="GET", path="/v1/models/other")
    assert (status, refusal["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "no object with the key input"),
        ({"input": None}, 400, "input is no text or list of texts"),
        ({"input": []}, 400, "input is no text or list of texts"),
        ({"input": {"a": "b"}}, 400, "input is no text or list of texts"),
        ({"input": ["a", 7]}, 400, "an item of input is no text"),
        ({"input": [1, 2, 3]}, 400, "token ids"),
        ({"input": [[1, 2], [3]]}, 400, "check_embedding_ctx_length=False"),
        ({"input": ["a", ["b"]]}, 400, "an item of input is no text"),
        ({"input": "\ud800"}, 400, "half of a surrogate pair"),
        ({"input": "a" * 101}, 422, "one has 101"),
        ({"input": ["a"] * 5}, 422, "it holds 5"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format is none of float, base64"),
        ({"input": "a", "encoding_format": ["float"]}, 400, "encoding_format is none of float, base64"),
        ({"input": "a", "dimensions": 0}, 400, "dimensions is no positive whole number"),
        ({"input": "a", "dimensions": True}, 400, "dimensions is no positive whole number"),
        ({"input": "a", "dimensions": 33}, 400, "dimensions may be at most 32"),
        ({"input": "a", "dimensions": 10**40}, 400, "dimensions may be at most 32"),
        ({"input": "a", "model": 7}, 400, "model is no text"),
        ({"input": "a", "other": 7}, 400, "it has other"),
        ({"input": "a", "\x1b[31m" * 20: 7}, 400, "\\x1b[31m"),
        ({"input": "a", "encoding_format": None, "dimensions": None, "user": "me"}, 200, ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_body_is_refused_in_the_form_of_openai(embedder: int, body: Any, status: int, message: str) -> None:
    answered, content = embed(embedder, **body)
    assert answered == status
    if status != 200:
        assert content["error"]["type"] == "invalid_request_error"
        assert message in content["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff", b'{"input": "a", "input": "b"}', b"[" * 100_000])
def test_what_is_no_object_is_refused(embedder: int, body: bytes) -> None:
    status, content = ask(embedder, body, path="/v1/embeddings")
    assert (status, content["error"]["type"]) == (400, "invalid_request_error")
    assert 'Send {"model": "any", "input": ["a text", "another text"]}' in content["error"]["message"]


def test_a_large_body_is_refused_before_it_is_kept(embedder: int) -> None:
    status, content = ask(embedder, b" " * 3_000_000, path="/v1/embeddings")
    assert (status, content["error"]["code"]) == (413, None)


def test_a_wrong_key_is_an_authentication_error(folder_of: Callable[[str], Path]) -> None:
    exposure = Exposure(api_key=KEY)
    server = create_server(folder_of("sentence-embedding"), port=0, num_threads=1, exposure=exposure)
    with running(server) as port:
        status, content = embed(port, input="a")
        assert (status, content["error"]["type"]) == (401, "authentication_error")
        openai = pytest.importorskip("openai", reason="needs the package openai: make setup installs it")
        with client(port) as right, client(port, "another-key-of-some-length") as wrong:
            assert len(right.embeddings.create(model="any", input="a").data) == 1
            with pytest.raises(openai.AuthenticationError, match="must carry the server's key"):
                wrong.embeddings.create(model="any", input="a")
            with pytest.raises(openai.NotFoundError, match="this folder serves sentence-embedding"):
                right.completions.create(model="any", prompt="a")
            with pytest.raises(openai.BadRequestError, match="dimensions may be at most 32"):
                right.embeddings.create(model="any", input="a", dimensions=99)


def test_the_client_gets_what_is_said_in_a_file(folder_of: Callable[[str], Path]) -> None:
    folder = folder_of("automatic-speech-recognition")
    said = OnnxPipeline.from_pretrained(folder, num_threads=1)(wave_file())["text"]
    with running(create_server(folder, port=0, num_threads=1)) as port, client(port) as openai:
        audio = openai.audio.transcriptions
        assert audio.create(model="any", file=("a.wav", wave_file())).text == said
        assert audio.create(model="any", file=("a.wav", wave_file()), response_format="text") == f"{said}\n"
        for options in ({"language": "en"}, {"temperature": 0.5}, {"response_format": "srt"}):
            with pytest.raises(Exception, match=next(iter(options))) as refusal:
                audio.create(model="any", file=("a.wav", wave_file()), **options)
            assert refusal.value.status_code == 400  # type: ignore[attr-defined]
        with pytest.raises(Exception, match="undamaged sound file") as refusal:
            audio.create(model="any", file=("a.wav", wave_file()[:30]))
        assert refusal.value.status_code == 400  # type: ignore[attr-defined]
