"""A server that is exposed asks for its key, answers to its names, and keeps out pages of other origins."""

import json
import logging
import ssl
import subprocess
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.serving.exposure import Exposure, read_api_key
from optimum_ose.serving.server import create_server
from serving.server_client import running

BODY = b'{"inputs": "a"}'
KEY = "0123456789abcdef-secret"
PAGE = "https://page.example"


def ask(port: int, path: str = "/predict", method: str = "POST", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, BODY if method == "POST" else None, names)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[int]:
    with running(create_server(folder, port=0, num_threads=1)) as port:
        yield port


@pytest.fixture(scope="module")
def exposed(folder: Path) -> Iterator[int]:
    exposure = Exposure(api_key=KEY, allowed_hosts=("api.example", "*.own.example", "::1"), cors_origins=(PAGE,))
    with running(create_server(folder, port=0, num_threads=1, exposure=exposure)) as port:
        yield port


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain; a=application/json", "multipart/form-data", "", "TEXT/plain"]
)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", "http://[", "file://"])
def test_a_form_of_a_page_of_another_origin_is_refused(plain: int, origin: str, kind: str) -> None:
    status, headers, body = ask(plain, Origin=origin, Content_Type=kind)
    assert status == 403
    assert "access-control-allow-origin" not in headers
    assert json.loads(body)["remedy"] == "Allow its origin (--cors-origin)"


def test_what_is_no_form_of_another_page_is_answered(plain: int) -> None:
    assert ask(plain, Content_Type="text/plain")[0] == 200
    assert ask(plain, Content_Type="application/x-www-form-urlencoded")[0] == 200
    assert ask(plain, Origin=f"http://127.0.0.1:{plain}", Content_Type="text/plain")[0] == 200
    status, headers, _ = ask(plain, Origin="http://evil.example", Content_Type="application/json")
    assert (status, "access-control-allow-origin" in headers) == (200, False)


@pytest.mark.parametrize(
    "authorization", ["", KEY, f"Basic {KEY}", "Bearer", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer \xe9"]
)
@pytest.mark.parametrize("path", ["/predict", "/metrics", "/v2", "/nowhere", "/openapi.json", "/embed", "/rerank"])
def test_without_the_key_nothing_is_told(exposed: int, authorization: str, path: str) -> None:
    method = "POST" if path == "/predict" else "GET"
    status, headers, body = ask(exposed, path, method, Host="api.example", Authorization=authorization)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert set(json.loads(body)) == {"error", "expected", "actual", "remedy"}


@pytest.mark.parametrize("host", ["api.example", "API.example:80", "a.own.example", "[::1]:8080"])
def test_with_the_key_and_by_its_names_the_server_answers(exposed: int, host: str) -> None:
    assert ask(exposed, Host=host, Authorization=f"bearer  {KEY}")[0] == 200
    assert ask(exposed, "/metrics", "GET", Host=host, Authorization=f"Bearer {KEY}")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "own.example.evil", "127.0.0.1", "", "api.example.evil", "["])
def test_by_another_name_the_server_does_not_answer(exposed: int, host: str) -> None:
    assert ask(exposed, Host=host, Authorization=f"Bearer {KEY}")[0] == 400


@pytest.mark.parametrize("path", ["/health", "/ready", "/v2/health/live", "/v2/health/ready"])
def test_probes_need_neither_key_nor_name(exposed: int, path: str) -> None:
    assert ask(exposed, path, "GET", Host="10.0.0.1:8080")[0] == 200


def test_pages_of_the_origins_that_are_named_may_ask_and_others_not(exposed: int) -> None:
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,content-type"}
    status, headers, _ = ask(exposed, method="OPTIONS", Host="api.example", Origin=PAGE, **asked)
    assert (status, headers["access-control-allow-origin"]) == (200, PAGE)
    key = {"Host": "api.example", "Authorization": f"Bearer {KEY}"}
    assert ask(exposed, Origin=PAGE, Content_Type="application/json", **key)[1]["access-control-allow-origin"] == PAGE
    assert ask(exposed, method="OPTIONS", Host="api.example", Origin="https://evil.example", **asked)[0] == 400
    assert ask(exposed, Origin="https://evil.example", Content_Type="text/plain", **key)[0] == 403


NEW = ["/", "/v1/embeddings", "/v1/completions", "/v1/audio/transcriptions", "/embed", "/rerank", "/generate"]


@pytest.mark.parametrize("path", NEW)
def test_every_endpoint_is_guarded_alike(exposed: int, path: str) -> None:
    key = {"Host": "api.example", "Authorization": f"Bearer {KEY}"}
    answered = (200,) if path == "/" else (404,)  # the others do not fit this folder
    assert ask(exposed, path, **key)[0] in answered
    status, headers, body = ask(exposed, path, Host="api.example")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    error = json.loads(body)["error"]
    assert (error["type"] == "authentication_error") if path.startswith("/v1/") else "the server's key" in error
    assert ask(exposed, path, **{**key, "Host": "evil.example"})[0] == 400
    page = ask(exposed, path, Origin=PAGE, Content_Type="application/json", **key)
    assert (page[0], page[1]["access-control-allow-origin"]) == (answered[0], PAGE)
    assert ask(exposed, path, Origin="https://evil.example", Content_Type="multipart/form-data", **key)[0] == 403


def test_a_stream_is_guarded_and_told_to_pages_that_are_named(folder_of: Callable[[str], Path]) -> None:
    exposure = Exposure(api_key=KEY, cors_origins=(PAGE,))
    body = json.dumps({"prompt": "the cat", "stream": True}).encode()
    with running(create_server(folder_of("text-generation"), port=0, num_threads=1, exposure=exposure)) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        for headers, status in (({"Authorization": f"Bearer {KEY}"}, 200), ({}, 401)):
            connection.request("POST", "/v1/completions", body, {"Origin": PAGE, **headers})
            response = connection.getresponse()
            assert (response.status, response.headers["access-control-allow-origin"]) == (status, PAGE)
            assert (b"[DONE]" in response.read()) is (status == 200)
        connection.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"api_key": ""}, "An API key must have 16 to 1,024 visible"),
        ({"api_key": "short"}, "it has 5 characters"),
        ({"api_key": "with a space in the middle"}, "without spaces"),
        ({"api_key": 7}, "it is no text"),
        ({"allowed_hosts": ("http://example.com",)}, "allowed_hosts must be host names"),
        ({"allowed_hosts": ("a*.example",)}, "allowed_hosts must be host names"),
        ({"allowed_hosts": ("a:80",)}, "allowed_hosts must be host names or addresses without a port"),
        ({"allowed_hosts": ("example.com:80",)}, "without a port"),
        ({"allowed_hosts": ("[::1]:80",)}, "without a port"),
        ({"allowed_hosts": ("1:2",)}, "without a port"),
        ({"allowed_hosts": "example.com"}, "allowed_hosts must be host names"),
        ({"cors_origins": ("example.com",)}, "cors_origins must be origins"),
        ({"cors_origins": ("https://example.com/",)}, "cors_origins must be origins"),
        ({"cors_origins": ("https://Example.com",)}, "cors_origins must be origins .* in lower case"),
        ({"tls_key": Path("key.pem")}, "must come with its certificate"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        Exposure(**settings)


def test_the_key_comes_from_its_file_else_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert read_api_key(tmp_path / "key", "other") == KEY
    assert read_api_key(None, KEY) == KEY
    assert read_api_key(None, None) is read_api_key(None, "") is None
    assert KEY not in repr(Exposure(api_key=KEY))


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(InvalidConfigError, match=r"The file of the API key must hold .*key'"):
        read_api_key(tmp_path / "key", None)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return files


def test_with_a_certificate_the_server_speaks_https(folder: Path, pair: tuple[Path, Path]) -> None:
    exposure = Exposure(tls_certificate=pair[0], tls_key=pair[1])
    server = create_server(folder, port=0, num_threads=1, exposure=exposure)
    assert server.url.startswith("https://127.0.0.1:")
    with running(server) as port:
        context = ssl.create_default_context(cafile=str(pair[0]))
        connection = HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
        for _ in range(2):
            connection.request("POST", "/predict", BODY)
            response = connection.getresponse()
            assert (response.status, len(json.loads(response.read())[0])) == (200, 3)
        connection.close()


@pytest.mark.parametrize("damage", ["missing", "empty", "swapped"])
def test_a_certificate_that_cannot_be_used_is_named(
    folder: Path, pair: tuple[Path, Path], tmp_path: Path, damage: str
) -> None:
    (tmp_path / "empty").touch()
    files = {"missing": (tmp_path / "none", None), "empty": (tmp_path / "empty", pair[1]), "swapped": pair[::-1]}
    certificate, key = files[damage]
    with pytest.raises(InvalidConfigError, match=r"must be PEM files that belong together.*: .*\. Make a pair"):
        create_server(folder, port=0, exposure=Exposure(tls_certificate=certificate, tls_key=key))


@pytest.mark.parametrize(
    ("host", "key", "warns"), [("0.0.0.0", None, True), ("0.0.0.0", KEY, False), ("127.0.0.1", None, False)]
)
def test_listening_beyond_the_machine_without_a_key_is_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture, host: str, key: str | None, warns: bool
) -> None:
    with running(create_server(folder, host=host, port=0, num_threads=1, exposure=Exposure(api_key=key))):
        assert ("beyond this machine without an API key" in caplog.text) is warns
    assert all(record.levelno <= logging.WARNING for record in caplog.records)
