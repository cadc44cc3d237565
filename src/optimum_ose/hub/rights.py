"""Checks at the start of a run whether the upload at its end can succeed."""

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError

from optimum_ose.exceptions import UploadError
from optimum_ose.hub.failures import FAILURES, NO_HUB, not_the_hub
from optimum_ose.hub.repository import require_repository
from optimum_ose.wording import listed, one_line


def require_uploadable(repo_id: str, *, private: bool = False) -> None:
    """Pass if the Hub can be reached, knows the token, and the repository belongs to its user or organizations.

    Args:
        repo_id: `user/name`, or `name` for the user's own.
        private: whether a repository that is there must be private.

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
        _check_rights(HfApi(), repo_id, expected, private=private)
    except UploadError:
        raise
    except FAILURES as error:
        reason = f"it does not say who is asking: {one_line(error, limit=200)}"
        raise UploadError(expected, reason, "Check the network and `hf auth login`, or push later") from error
    except NO_HUB as error:
        raise not_the_hub(error) from error


def _check_rights(api: HfApi, repo_id: str, expected: str, *, private: bool) -> None:
    account = api.whoami()
    names = [account["name"], *(found["name"] for found in account.get("orgs") or ())]
    owner, slash, _ = repo_id.partition("/")
    if slash and owner not in names:
        remedy = "Give a repository of one of them, or log in with `hf auth login`"
        raise UploadError(expected, f"the token may write for {listed(names)}", remedy)
    if private:
        require_private(api, repo_id if slash else f"{names[0]}/{repo_id}")


def require_private(api: HfApi, repo_id: str) -> None:
    """Pass if a repository is private, or is not there yet.

    Raises:
        UploadError: if it is public.
    """
    try:
        is_private = api.model_info(repo_id).private
    except RepositoryNotFoundError:
        return
    if not is_private:
        raise UploadError(
            f"The repository {repo_id} must be private",
            "it exists and is public",
            "Make it private, or name another one",
        )
