"""Whether an upload at the end of a run can succeed, asked at its beginning."""

from typing import cast

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

from optimum_ose.exceptions import UploadError
from optimum_ose.hub.repository import require_repository
from optimum_ose.wording import listed, one_line

_FAILURES: tuple[type[Exception], ...] = (OSError, RuntimeError, cast(type[Exception], HfHubHTTPError.__bases__[0]))
"""What the library raises: of its own, and of its HTTP client, which differs among its versions."""


def require_uploadable(repo_id: str) -> None:
    """Pass if the Hub can be reached, knows the token, and the repository belongs to its user or organizations.

    Args:
        repo_id: `user/name`, or `name` for the user's own.

    Raises:
        InvalidConfigError: if `repo_id` is no Hub id.
        UploadError: if an upload there would be refused.
    """
    require_repository(
        repo_id, role="The repository to push to (--push-to-hub)", remedy="Give user/name or organization/name"
    )
    expected = f"The Hub must take an upload to {repo_id} when the run is finished"
    if constants.HF_HUB_OFFLINE:
        raise UploadError(
            expected, "HF_HUB_OFFLINE is set", "Unset it, or leave the upload out (--push-to-hub) and push later"
        )
    try:
        account = HfApi().whoami()
    except _FAILURES as error:
        reason = f"it does not know who is asking: {one_line(error, limit=200)}"
        raise UploadError(expected, reason, "Check the network and `hf auth login`, or push later") from error
    names = [account.get("name"), *(found.get("name") for found in account.get("orgs") or ())]
    owner, slash, _ = repo_id.partition("/")
    if slash and owner not in names:
        remedy = "Give a repository of one of them, or log in with `hf auth login`"
        raise UploadError(expected, f"the token may write for {listed(names)}", remedy)
