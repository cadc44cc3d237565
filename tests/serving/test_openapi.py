"""The page of endpoints holds what the folder answers, and its examples are answered."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.serving.endpoints import ENDPOINTS
from optimum_ose.serving.exposure import Exposure
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.served_folders import MAKERS
from serving.server_client import ask, running

TASKS = ["text-classification", *MAKERS]
OF_ALL = {"/predict", "/", "/v1/models", "/v1/models/{model}", "/v2", "/health", "/ready", "/metrics"}
OWN = {
    "sentence-embedding": {"/v1/embeddings", "/embed", "/similarity"},
    "text-ranking": {"/rerank"},
    "text-generation": {"/v1/completions", "/generate", "/generate_stream"},
    "automatic-speech-recognition": {"/v1/audio/transcriptions"},
}
FITTING = sorted({path for paths in OWN.values() for path in paths})
LIMITS = ServerLimits(max_texts=5, max_text_characters=77)


@pytest.fixture(scope="module", params=TASKS)
def served(request: pytest.FixtureRequest, folder_of: Callable[[str], Path]) -> Iterator[tuple[str, int]]:
    """A task and the port of its server."""
    server = create_server(folder_of(request.param), port=0, name="model", num_threads=1, limits=LIMITS)
    with running(server) as port:
        yield request.param, port


def page(port: int) -> Any:
    status, content = ask(port, None, method="GET", path="/openapi.json")
    assert status == 200
    return content


def test_it_lists_what_the_folder_answers(served: tuple[str, int]) -> None:
    task, port = served
    document = page(port)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == f"model: {task}"
    assert set(document["paths"]) >= OF_ALL | OWN.get(task, set())
    assert {path for path in document["paths"] if path in FITTING} == OWN.get(task, set())


def test_its_examples_are_answered(served: tuple[str, int]) -> None:
    _, port = served
    asked = 0
    for path, operations in page(port)["paths"].items():
        for content in (operations.get("post", {}).get("requestBody") or {"content": {}})["content"].values():
            if "example" in content and path != "/generate_stream":
                body = json.dumps(content["example"]).encode()
                answer = ask(port, body, path=path.replace("{model}", "model"))
                assert answer[0] == 200, (path, answer)
                asked += 1
    assert asked or served[0] in ("image-classification", "automatic-speech-recognition")


def test_a_value_that_its_schema_forbids_is_refused(served: tuple[str, int]) -> None:
    """Of each field of each schema: a value of another type, and a text beyond the limits, which stand there too."""
    task, port = served
    for path in OWN.get(task, set()) - {"/v1/audio/transcriptions"}:
        content = page(port)["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for name, schema in content["schema"]["properties"].items():
            status, refusal = ask(port, json.dumps({**content["example"], name: {"a": 1}}).encode(), path=path)
            assert status == 400, (path, name)
            assert name in json.dumps(refusal)
            if schema.get("maxLength") == 77:
                long = json.dumps({**content["example"], name: "a" * 78}).encode()
                assert ask(port, long, path=path)[0] == 422, (path, name)
        assert ask(port, json.dumps({**content["example"], "unknown": 1}).encode(), path=path)[0] == 400
        for name in content["schema"]["required"]:
            left = {key: value for key, value in content["example"].items() if key != name}
            assert ask(port, json.dumps(left).encode(), path=path)[0] == 400


def test_what_does_not_fit_the_folder_is_refused_with_what_it_serves(served: tuple[str, int]) -> None:
    task, port = served
    for path in FITTING:
        if path not in OWN.get(task, set()):
            status, refusal = ask(port, b"{}", path=path)
            message = refusal["error"]["message"] if path.startswith("/v1/") else refusal["error"]
            assert status == 404
            assert f"this folder serves {task}. GET /openapi.json" in message
        assert ask(port, None, method="GET", path=path)[0] == 405


def test_an_unknown_path_is_answered_with_those_that_are_known(served: tuple[str, int]) -> None:
    task, port = served
    status, refusal = ask(port, b"{}", path="/nowhere")
    assert status == 404
    assert all(f"POST {path}" in refusal["expected"] for path in OWN.get(task, set()))
    status, refusal = ask(port, b"{}", path="/v1/nowhere")
    assert (status, refusal["error"]["type"]) == (404, "not_found_error")


def test_with_a_key_the_page_says_so_and_needs_it(folder: Path) -> None:
    exposure = Exposure(api_key="0123456789abcdef")
    with running(create_server(folder, port=0, num_threads=1, exposure=exposure)) as port:
        key = {"Authorization": "Bearer 0123456789abcdef"}
        assert ask(port, None, method="GET", path="/openapi.json")[0] == 401
        document = ask(port, None, method="GET", path="/openapi.json", **key)[1]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"]["/predict"]["post"]["security"] == [{"key": []}]
    assert "security" not in document["paths"]["/health"]["get"]


def test_every_endpoint_is_told_apart_and_described() -> None:
    keys = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
    assert len(set(keys)) == len(keys)
    assert all(endpoint.summary.endswith(".") for endpoint in ENDPOINTS)


def test_both_shapes_of_predict_are_described(folder: Path, folder_of: Callable[[str], Path]) -> None:
    for path, task, keys in (
        (folder, "/predict", {"raw_scores"}),
        (folder, "/", {"raw_scores"}),
        (folder_of("sentence-embedding"), "/", {"normalize"}),
    ):
        with running(create_server(path, port=0, num_threads=1)) as port:
            operation = page(port)["paths"][task]["post"]
        shapes = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
        assert len(shapes) == 2
        assert any(keys <= shape["properties"].keys() for shape in shapes)
