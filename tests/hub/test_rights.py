"""A run that shall push at its end is refused at its beginning where the push would be."""

import subprocess
import sys
from pathlib import Path

import pytest

from hub.loopback_hub import LoopbackHub
from hub.test_upload import user
from optimum_ose.exceptions import InvalidConfigError, UploadError
from optimum_ose.hub.rights import require_uploadable

ASK = """
import sys
from optimum_ose.exceptions import OSEError
from optimum_ose.hub.rights import require_uploadable
for repository in sys.argv[1:]:
    try:
        require_uploadable(repository)
        print("ok")
    except OSEError as error:
        print(type(error).__name__, error)
"""


def answers(hub: LoopbackHub, home: Path, *repositories: str, **settings: str) -> list[str]:
    command = [sys.executable, "-c", ASK, *repositories]
    done = subprocess.run(command, env=user(hub.endpoint, home, **settings), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_own_repositories_may_be_pushed_to_and_others_not(hub: LoopbackHub, tmp_path: Path) -> None:
    *own, other = answers(hub, tmp_path, "me/model", "our-lab/model", "model", "somebody/model")
    assert own == ["ok", "ok", "ok"]
    assert other.startswith("UploadError The Hub must take an upload to somebody/model")
    assert "the token may write for me, our-lab" in other


def test_a_token_that_the_hub_does_not_know_is_told(hub: LoopbackHub, tmp_path: Path) -> None:
    (told,) = answers(hub, tmp_path, "me/model", HF_TOKEN="hf_wrong")
    assert told.startswith("UploadError")
    assert "hf auth login" in told


def test_offline_nothing_can_be_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UploadError, match="HF_HUB_OFFLINE is set"):
        require_uploadable("me/model")
    with pytest.raises(InvalidConfigError, match="must be a Hub id"):
        require_uploadable("bad id!!")
