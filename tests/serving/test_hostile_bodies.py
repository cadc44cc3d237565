"""Whatever JSON comes, every endpoint answers or refuses it, and those who ask at the same time get their answers."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.serving.endpoints import ENDPOINTS
from optimum_ose.serving.exposure import Exposure
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.server_client import ask, running

LIMITS = ServerLimits(max_texts=4, max_text_characters=100, max_body_bytes=5000)
TASKS = ["text-classification", "text-ranking", "sentence-embedding", "text-generation"]
NAMES = sorted(
    {"inputs", "parameters", "input", "prompt", "query", "texts", "source_sentence", "sentences"}
    | {"truncate", "raw_scores", "stop", "max_tokens", "max_new_tokens", "dimensions", "encoding_format", "top_k"}
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.sampled_from([0, 1, -1, 2, 10**30, 0.5, 1e308]), st.text(max_size=8),
    st.sampled_from(["the cat", "base64", "Left", "\ud800", "\0", "a" * 101]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)


@pytest.fixture(scope="module", params=TASKS)
def served(request: pytest.FixtureRequest, folder_of: Callable[[str], Path]) -> Iterator[tuple[int, list[str]]]:
    """The port of a server, and the paths to which it takes bodies."""
    with running(create_server(folder_of(request.param), port=0, num_threads=1, limits=LIMITS)) as port:
        document = ask(port, None, method="GET", path="/openapi.json")[1]
        yield port, [path for path, item in document["paths"].items() if "post" in item and "stream" not in path]


@settings(max_examples=150, deadline=None)
@given(body=BODIES, place=st.integers(0, 20))
def test_any_json_is_answered_or_refused(served: tuple[int, list[str]], body: Any, place: int) -> None:
    port, paths = served
    path = paths[place % len(paths)]
    status, content = ask(port, json.dumps(body).encode(), path=path)
    assert status in (200, 400, 404, 422), (path, content)
    assert status == 200 or "error" in content


def test_bad_requests_harm_no_neighbours(folder_of: Callable[[str], Path]) -> None:
    good = json.dumps({"input": ["the cat", "a good movie"]}).encode()
    bad = [b"{", b'{"input": 7}', b'{"input": ""}', json.dumps({"input": ["a" * 101]}).encode(), b" " * 6000]
    with running(create_server(folder_of("sentence-embedding"), port=0, num_threads=1, limits=LIMITS)) as port:
        alone = ask(port, good, path="/v1/embeddings")[1]["data"]

        def client(index: int) -> tuple[int, Any]:
            return ask(port, good if index % 2 else bad[index // 2 % len(bad)], path="/v1/embeddings")

        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(client, range(120)))
    for index, (status, content) in enumerate(answers):
        if not index % 2:
            assert status in (200, 400, 413, 422)
            continue
        assert status == 200
        for found, expected in zip(content["data"], alone, strict=True):
            assert found["embedding"] == pytest.approx(expected["embedding"], abs=1e-5)


def test_no_endpoint_is_open_without_the_key(folder: Path) -> None:
    exposure = Exposure(api_key="0123456789abcdef")
    probes = {"/health", "/ready", "/v2/health/live", "/v2/health/ready"}
    with running(create_server(folder, port=0, name="model", num_threads=1, exposure=exposure)) as port:
        for endpoint in ENDPOINTS:
            body = b"{}" if endpoint.method == "POST" else None
            status = ask(port, body, method=endpoint.method, path=endpoint.path.replace("{model}", "model"))[0]
            assert status == (200 if endpoint.path in probes else 401), endpoint.path
