"""A run that is to push at its end stops at its beginning if the push could not succeed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hub.loopback_hub import LoopbackHub, Repository
from hub.test_upload import other_server, user
from optimum_ose.exceptions import InvalidConfigError, UploadError
from optimum_ose.hub.rights import require_uploadable

ASK = """
import json, sys
from optimum_ose.exceptions import OSEError
from optimum_ose.hub.rights import require_uploadable
for repository in sys.argv[2:]:
    try:
        require_uploadable(repository, private=json.loads(sys.argv[1]))
        print("ok")
    except OSEError as error:
        print(type(error).__name__, error)
"""


def answers(endpoint: str, home: Path, *repositories: str, private: bool = False, **settings: str) -> list[str]:
    command = [sys.executable, "-c", ASK, json.dumps(private), *repositories]
    done = subprocess.run(command, env=user(endpoint, home, **settings), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_own_repositories_may_be_pushed_to_and_others_not(hub: LoopbackHub, tmp_path: Path) -> None:
    *own, other = answers(hub.endpoint, tmp_path, "me/model", "our-lab/model", "model", "somebody/model")
    assert own == ["ok", "ok", "ok"]
    assert other.startswith("UploadError The Hub must take an upload to somebody/model")
    assert "the token may write for me, our-lab" in other


def test_a_token_that_the_hub_does_not_know_is_told(hub: LoopbackHub, tmp_path: Path) -> None:
    (told,) = answers(hub.endpoint, tmp_path, "me/model", HF_TOKEN="hf_wrong")
    assert told.startswith("UploadError")
    assert "hf auth login" in told


def test_offline_nothing_can_be_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UploadError, match="HF_HUB_OFFLINE is set"):
        require_uploadable("me/model")
    with pytest.raises(InvalidConfigError, match="must be a Hub id"):
        require_uploadable("bad id!!")


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (200, b"<html>log in</html>", {"Content-Type": "text/html"}),
        (200, b"{}", {"Content-Type": "application/json"}),
        (200, b"[1]", {"Content-Type": "application/json"}),
        (200, b'{"name": "me", "orgs": [1]}', {"Content-Type": "application/json"}),
        (302, b"", {"Location": "/login"}),
        (403, b"no \x1b[31mright", {}),
        (409, b"there", {}),
        (500, b"broken", {}),
    ],
)
def test_a_server_that_is_no_hub_is_told_before_the_run(
    tmp_path: Path, status: int, content: bytes, headers: dict[str, str]
) -> None:
    with other_server(status, content, **headers) as endpoint:
        (told,) = answers(endpoint, tmp_path, "me/model")
    assert told.startswith("UploadError The ")
    assert "\x1b" not in told


def test_a_public_repository_is_refused_before_a_run_that_is_to_be_private(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.repositories["me/public"] = Repository(private=False)
    hub.repositories["me/public"].add("main", {}, "first")
    told = answers(hub.endpoint, tmp_path, "me/public", "public", "me/new", private=True)
    assert ["must be private; it exists and is public" in line for line in told] == [True, True, False]
    assert told[2] == "ok"
    assert answers(hub.endpoint, tmp_path, "me/public") == ["ok"]
