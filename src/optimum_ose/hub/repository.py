"""Names of repositories on the Hub."""

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.wording import shown


def require_repository(repo_id: str, *, role: str, remedy: str) -> None:
    """Pass if this can be the id of a repository.

    Args:
        repo_id: what the user gave.
        role: what it names, as the subject of the message.
        remedy: what the user can do.

    Raises:
        InvalidConfigError: if it cannot.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InvalidConfigError(
            f"{role} must be a Hub id such as user/name", f"got {shown(repo_id)}", remedy
        ) from error
