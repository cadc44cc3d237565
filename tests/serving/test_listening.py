"""An address that cannot be listened on is named, with what to do."""

import socket
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

import pytest

from optimum_ose.commands.words import path
from optimum_ose.exceptions import AddressError, InvalidConfigError, OutputFolderError
from optimum_ose.guards import require_path
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.app import PredictionApp
from optimum_ose.serving.command import add_options
from optimum_ose.serving.listening import is_local, listen, reserve_files, url
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server


@pytest.mark.parametrize("port", [-1, 65_536, 70_000, 10**30, "8080", 80.0, None, True])
def test_a_port_outside_its_range_is_named(port: object) -> None:
    with pytest.raises(InvalidConfigError, match=r"port must be a whole number from 0 to 65,535; got "):
        listen("127.0.0.1", port)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["", None, 7, b"127.0.0.1"])
def test_a_host_of_another_kind_is_named(host: object) -> None:
    with pytest.raises(InvalidConfigError, match=r"host must be a name or an address; got "):
        listen(host, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host", ["256.0.0.1", "nowhere.invalid", "a..b", "x" * 300, "a\0b", "http://127.0.0.1", "::1::"]
)
def test_an_unknown_host_is_named(host: str) -> None:
    with pytest.raises(AddressError, match=r"that this machine knows; '.* is unknown\. Give one"):
        listen(host, 0)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(AddressError, match=r"an address of this machine; 192\.0\.2\.1 is not\. Give 127\.0\.0\.1"):
        listen("192.0.2.1", 0)


def test_a_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0) as one:
        port = one.getsockname()[1]
        with pytest.raises(AddressError, match=rf"Port {port} of 127\.0\.0\.1 must be free; it is in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "text"), [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"), ("::", "http://[::]:80")]
)
def test_an_address_of_version_6_stands_in_brackets(host: str, text: str) -> None:
    assert url(host, 80) == text


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_whether_only_this_machine_reaches_it_is_known(host: str, expected: bool) -> None:
    with listen(host, 0) as listener:
        assert is_local(listener) is expected
        assert listener.family in (socket.AF_INET, socket.AF_INET6)


def test_more_connections_than_the_system_allows_are_refused() -> None:
    with pytest.raises(
        InvalidConfigError, match=r"max_connections must be at most .*; got 1,000,000,000, and this .* files\. Give"
    ):
        reserve_files(10**9)


@pytest.mark.parametrize("value", [0, -1, "4", None, True, 1.5, float("nan"), float("inf"), 10**30])
def test_a_limit_that_is_no_positive_number_is_named(value: object) -> None:
    with pytest.raises(InvalidConfigError, match=r"limits of a server must be positive numbers .*; max_texts is "):
        ServerLimits(max_texts=value)  # type: ignore[arg-type]


def test_a_taken_port_is_named_before_the_model_is_read(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as one, pytest.raises(AddressError, match=r"must be free; it is in use"):
        create_server(tmp_path, port=one.getsockname()[1])


@pytest.mark.parametrize("option", ["folder", "--api-key-file", "--tls-certificate", "--tls-key"])
def test_an_empty_path_is_not_the_current_folder(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    add_options(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([""] if option == "folder" else ["folder", option, ""])
    assert f"argument {option}: must be a path in UTF-8; got ''" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a/b", "", None, 7])
def test_a_name_that_no_path_can_hold_is_refused(name: object, folder: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"The name of a served model must be text without slashes"):
        PredictionApp(OnnxPipeline.from_pretrained(folder), name=name)  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", ["", " ", "out\udcff", "a\0b"])
def test_a_folder_that_no_path_names_is_refused(folder: str) -> None:
    with pytest.raises(OutputFolderError, match=r"folder must be a path in UTF-8; got "):
        OnnxPipeline.from_pretrained(folder)


@pytest.mark.parametrize("word", ["out\udcff", "a\0b", " "])
def test_no_verb_takes_a_path_that_a_library_cannot_open(word: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"must (be a path in UTF-8|not be empty); got "):
        path(word)
    with pytest.raises(InvalidConfigError, match="output must name a file or folder; got "):
        require_path(word, "output")
