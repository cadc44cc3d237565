"""The output folder to the Hub: the files of its layout and nothing else."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import CommitOperationAdd, HfApi, constants
from yaml import YAMLError

from optimum_ose.exceptions import OutputFolderError, UploadError
from optimum_ose.guards import require_folder, require_path
from optimum_ose.hub.failures import FAILURES, NO_HUB, not_the_hub
from optimum_ose.hub.repository import require_repository
from optimum_ose.hub.rights import require_private
from optimum_ose.hub.usage import named_card
from optimum_ose.serving.graphs import DATA, DECODER, ENCODER, ENDINGS, MODEL, main_file, onnx_file
from optimum_ose.wording import listed, one_line

if TYPE_CHECKING:
    from optimum_ose.artifact import OSEArtifact

_LOGGER = logging.getLogger(__name__)

_CARD = "README.md"
_REQUIRED = ("config.json", _CARD)
_OF_A_RUN = ("tokenizer_config.json", "ose/search.json", "ose/benchmark.json")
"""What a finished run leaves; an upload without it is told."""
_LAYOUT = (
    "ose/choice.json",
    _CARD,
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    *(
        f"{onnx_file(graph, ending)}{data}"
        for graph in (MODEL, ENCODER, DECODER)
        for ending in ENDINGS
        for data in ("", DATA)
    ),
    "ose/search.json",
    "ose/journal.jsonl",
    "ose/benchmark.json",
    "ose/export.json",
    "ose/environment.json",
    "ose/pareto.png",
)


def push_to_hub(
    folder: "str | os.PathLike[str] | OSEArtifact",
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    commit_message: str = "Upload model extracted with optimum-ose",
    dry_run: bool = False,
) -> str:
    """Upload an output folder in one commit, creating the repository if needed.

    Only the files of the layout go: neither the teacher nor checkpoints, nor `ose/run.json`, which holds arguments and
    so paths of this machine. The card's examples of use name the repository. Nothing is visible before everything has
    arrived. An interrupted upload is repeated by calling again: a large file that has arrived is not sent twice.

    Args:
        folder: an output folder, or the artifact of one.
        repo_id: `user/name`.
        private: make a new repository private; False leaves it to the settings of the account or organization. A
            repository that is there must be private then, and is never changed.
        revision: branch, created if needed; None is the default branch.
        token: of the Hub; None takes the one that `hf auth login` stored.
        commit_message: of the one commit.
        dry_run: check and log what would go, and send nothing.

    Returns:
        URL of the model.

    Raises:
        InvalidConfigError: if `repo_id` is no Hub id.
        OutputFolderError: if the folder is no complete model folder.
        UploadError: if the Hub refuses or cannot be reached.
    """
    require_repository(repo_id, role="The repository", remedy="Give user/name or organization/name")
    root = require_path(getattr(folder, "path", folder), "folder")
    files = layout_files(root)
    if dry_run:
        _LOGGER.info("would upload to %s: %s", repo_id, ", ".join(files))
        return f"{constants.ENDPOINT}/{repo_id}"
    operations = _operations(root, files, repo_id)
    try:
        return _upload(HfApi(token=token), operations, repo_id, private, revision, commit_message)
    except UploadError:
        raise
    except FAILURES as error:
        raise UploadError(
            f"The Hub must take the upload to {repo_id}",
            _reason(error),
            "Check the network, HF_HUB_OFFLINE and `hf auth login`, and push again: what has arrived is not sent twice",
        ) from error
    except NO_HUB as error:
        raise not_the_hub(error) from error


def _upload(
    api: HfApi, operations: list[CommitOperationAdd], repo_id: str, private: bool, revision: str | None, message: str
) -> str:
    url = api.create_repo(repo_id, private=True if private else None, exist_ok=True)
    if private:
        require_private(api, url.repo_id)
    if revision is not None:
        api.create_branch(url.repo_id, branch=revision, exist_ok=True)
    api.create_commit(url.repo_id, operations, commit_message=message, revision=revision)
    return str(url)


def layout_files(folder: Path) -> list[str]:
    """The files of the folder that belong to the layout, as sorted POSIX paths relative to it.

    Raises:
        OutputFolderError: if the folder lacks the configuration, the weights or the card, or if a file is a link to
            something outside of it, which nobody meant to publish.
    """
    require_folder(folder)
    links = {name for name in _LAYOUT if (folder / name).is_symlink()}  # glob passes over those that lead to nothing
    files = {path.relative_to(folder).as_posix() for name in _LAYOUT for path in folder.glob(name) if path.is_file()}
    found = sorted(links | files)
    missing = [name for name in _REQUIRED if name not in found]
    if not any(name.endswith(".safetensors") for name in found):
        missing.append("model.safetensors")
    if missing:
        raise OutputFolderError(
            f"{folder} must be a complete model folder",
            f"it lacks {', '.join(missing)}",
            "Finish the run, and write the card with `optimum-cli ose report`",
        )
    root = folder.resolve()
    outside = [name for name in found if not _is_inside(folder / name, root)]
    if outside:
        raise OutputFolderError(
            f"{folder} must hold its files itself",
            f"{listed(outside)} lead out of it, or to nothing",
            "Copy the folder with the files that the links point to (cp -rL)",
        )
    needed = (*_OF_A_RUN, main_file(folder)) if (folder / "ose" / "run.json").is_file() else ()
    if lost := [name for name in needed if name not in found]:
        _LOGGER.warning("%s is the folder of a run, but lacks %s: the upload goes without", folder, listed(lost))
    return found


def _is_inside(path: Path, root: Path) -> bool:
    """Whether a file, and every folder on the way to it, is no link out of the root."""
    try:
        return path.is_file() and path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # a link that leads to itself
        return False


def _operations(root: Path, files: list[str], repo_id: str) -> list[CommitOperationAdd]:
    return [
        CommitOperationAdd(
            path_in_repo=name,
            path_or_fileobj=_card(root / name, repo_id) if name == _CARD else root / name,
        )
        for name in files
    ]


def _card(path: Path, repo_id: str) -> bytes:
    """The card, naming the repository; one that somebody edited and that cannot be read goes as it is."""
    content = path.read_bytes()
    try:
        return named_card(content.decode(), repo_id).encode()
    except (ValueError, YAMLError):
        return content


def _reason(error: BaseException) -> str:
    """What went wrong, with its cause, in one line."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = one_line(" ".join([type(error).__name__, *lines[:1]]), limit=300)
    return f"{text} ({_reason(error.__cause__)})" if isinstance(error, RuntimeError) and error.__cause__ else text
