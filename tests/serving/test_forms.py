"""Images and sounds come as they are, in base64, or as files of a form, and whatever else comes gets its status."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.multipart import files_of, parts_of
from optimum_ose.serving.protocol import RequestError, ServerLimits
from optimum_ose.serving.server import create_server
from serving.served_folders import wave_file
from serving.server_client import ask, predict, running
from serving.test_served_images import noise, saved

LIMITS = ServerLimits(max_texts=3, max_body_bytes=200_000)
FORM = "multipart/form-data; boundary=XX"
IMAGE = saved(Image.fromarray(noise(40, 61)), "PNG")


@pytest.fixture(scope="module")
def images(folder_of: Callable[[str], Path]) -> Iterator[int]:
    with running(create_server(folder_of("image-classification"), port=0, num_threads=1, limits=LIMITS)) as port:
        yield port


@pytest.fixture(scope="module")
def sounds(folder_of: Callable[[str], Path]) -> Iterator[int]:
    server = create_server(folder_of("automatic-speech-recognition"), port=0, num_threads=1, limits=LIMITS)
    with running(server) as port:
        yield port


def form(*files: bytes, head: str = 'form-data; name="file"; filename="a"', end: bytes = b"--XX--\r\n") -> bytes:
    parts = [f"--XX\r\nContent-Disposition: {head}\r\n\r\n".encode() + content + b"\r\n" for content in files]
    return b"".join(parts) + end


def send(port: int, body: bytes, kind: str = FORM, path: str = "/predict") -> tuple[int, Any]:
    return ask(port, body, path=path, **{"Content-Type": kind})


def test_a_file_is_answered_in_every_form(images: int, folder_of: Callable[[str], Path]) -> None:
    expected = OnnxPipeline.from_pretrained(folder_of("image-classification"), num_threads=1)(IMAGE)
    coded = base64.b64encode(IMAGE).decode()
    assert send(images, IMAGE, "image/png") == (200, expected)
    assert send(images, form(IMAGE)) == (200, expected)
    assert send(images, form(IMAGE, IMAGE)) == (200, [expected, expected])
    assert predict(images, coded) == predict(images, f"data:image/png;base64,{coded}") == (200, expected)
    assert send(images, form(IMAGE), path="/") == (200, expected)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_sends_a_form(images: int, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(IMAGE)
    command = ["curl", "-s", "--max-time", "20", "-F", f"file=@{tmp_path}/picture.png"]
    done = subprocess.run([*command, f"http://127.0.0.1:{images}/predict"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == send(images, form(IMAGE))[1]


def test_a_sound_is_written_from_every_form(sounds: int, folder_of: Callable[[str], Path]) -> None:
    sound = wave_file()
    expected = OnnxPipeline.from_pretrained(folder_of("automatic-speech-recognition"), num_threads=1)(sound)
    assert expected["text"]
    for path in ("/predict", "/"):
        assert send(sounds, sound, "audio/wav", path) == send(sounds, form(sound), path=path) == (200, expected)
        coded = json.dumps({"inputs": base64.b64encode(sound).decode()}).encode()
        assert send(sounds, coded, "application/json", path) == (200, expected)
    assert send(sounds, form(sound), path="/v1/audio/transcriptions") == (200, expected)


@pytest.mark.parametrize("path", ["/predict", "/"])
def test_broken_and_oversize_files_get_their_status(images: int, sounds: int, path: str) -> None:
    for port, content in ((images, IMAGE), (sounds, wave_file())):
        assert send(port, content[:30], "application/octet-stream", path)[0] == 400
        assert send(port, form(content[:30]), path=path)[0] == 400
        assert send(port, b"", "application/octet-stream", path)[0] == 400
        assert send(port, content + b"\0" * 200_000, "application/octet-stream", path)[0] == 413
        assert send(port, form(*[content] * 4), path=path)[0] == 422
        assert send(port, form(content), path=path)[0] == 200


def test_an_image_of_too_many_pixels_is_refused(images: int) -> None:
    status, content = send(images, form(saved(Image.new("1", (9000, 9000)), "PNG")))
    assert (status, content["expected"]) == (400, "Image 0 must have 1 to 67,108,864 pixels")


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"", FORM, "does not end with its boundary"),
        (b"--XX--\r\n", FORM, "or holds nothing"),
        (form(IMAGE, end=b""), FORM, "does not end with its boundary"),
        (form(IMAGE)[:-6], FORM, "does not end with its boundary"),
        (form(IMAGE), "multipart/form-data", "names no boundary"),
        (form(IMAGE), "multipart/form-data; boundary=", "names no boundary"),
        (form(IMAGE), f"multipart/form-data; boundary={'X' * 71}", "names no boundary"),
        (form(IMAGE), "multipart/form-data; boundary=YY", "does not end with its boundary"),
        (form(IMAGE, head="attachment"), FORM, "no named field"),
        (form(IMAGE, head='form-data; name="file"'), FORM, "a field is no file"),
        (form(IMAGE, head='form-data; filename="a"'), FORM, "no named field"),
        (form(IMAGE, head="x" * 2000), FORM, "1,024 bytes"),
        (b"--XX\r\nno end of headers\r\n--XX--", FORM, "no end of its headers"),
        (form(form(IMAGE).replace(b"XX", b"YY")), FORM, "Pillow cannot read it"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_form_that_is_none_is_refused(images: int, body: bytes, kind: str, message: str) -> None:
    status, content = send(images, body, kind)
    assert status == 400
    assert message in content["error"] or "of another, or damaged" in content["error"]
    assert send(images, form(IMAGE))[0] == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (form(b"json", head='form-data; name="response_format"'), "the form has 0 files named file"),
        (form(wave_file(), wave_file()), "the form has 2 files named file"),
        (form(wave_file(), head='form-data; name="other"; filename="a"'), "the form has 0 files named file"),
        (form(b"x", head='form-data; name="model"', end=b"") + form(wave_file(), end=b"") + b"--XX--", ""),
        (form(b"srt", head='form-data; name="response_format"', end=b"") + form(wave_file()), "none of json, text"),
        (form(b"1", head='form-data; name="unknown"', end=b"") + form(wave_file()), "it has unknown"),
    ],
    ids=lambda value: repr(value)[40:90] if isinstance(value, bytes) else value,
)
def test_a_form_of_a_transcription_is_checked(sounds: int, body: bytes, message: str) -> None:
    status, content = send(sounds, body, path="/v1/audio/transcriptions")
    assert status == (400 if message else 200)
    assert message in json.dumps(content)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"--XX", b"--", b"\r\n", b"\r\n\r\n", b'Content-Disposition: form-data; name="file"', b":",
                         b'; filename="a"', b"\xff\0", b"a" * 50, b'"'])
    ).map(b"".join)
)  # fmt: skip
def test_any_body_is_a_form_or_refused(body: bytes) -> None:
    try:
        assert files_of(body, FORM, LIMITS)
    except RequestError as refusal:
        assert refusal.status in (400, 422)  # noqa: PT017  either is right


@given(st.lists(st.binary().filter(lambda content: b"--XX" not in content), min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_files_come_out_as_they_went_in(files: list[bytes]) -> None:
    assert files_of(form(*files), FORM, LIMITS) == files
    assert [part.file_name for part in parts_of(form(*files), FORM, LIMITS)] == ["a"] * len(files)
