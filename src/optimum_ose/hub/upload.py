"""The output folder to the Hub: the files of its layout and nothing else."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import HfApi, constants

from optimum_ose.exceptions import OutputFolderError

if TYPE_CHECKING:
    from optimum_ose.artifact import OSEArtifact

_LOGGER = logging.getLogger(__name__)

_REQUIRED = ("config.json", "README.md")
_LAYOUT = (
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
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
    "onnx/model.onnx",
    "onnx/model_quantized.onnx",
    "onnx/model_fp16.onnx",
    "ose/search.json",
    "ose/journal.jsonl",
    "ose/benchmark.json",
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
    so paths of this machine. An interrupted upload is repeated by calling again; the Hub takes each large file once.

    Args:
        folder: an output folder, or the artifact of one.
        repo_id: `user/name`.
        private: whether a new repository is private.
        revision: branch, created if needed; None is the default branch.
        token: of the Hub; None takes the one that `hf auth login` stored.
        commit_message: of the one commit.
        dry_run: check and log what would go, and send nothing.

    Returns:
        URL of the model.

    Raises:
        OutputFolderError: if the folder is no complete model folder.
        huggingface_hub.errors.HfHubHTTPError: if the Hub refuses.
    """
    root = Path(folder) if isinstance(folder, str | os.PathLike) else folder.path
    files = layout_files(root)
    if dry_run:
        _LOGGER.info("would upload to %s: %s", repo_id, ", ".join(files))
        return f"{constants.ENDPOINT}/{repo_id}"
    api = HfApi(token=token)
    url = api.create_repo(repo_id, private=private, exist_ok=True)
    if revision is not None:
        api.create_branch(url.repo_id, branch=revision, exist_ok=True)
    api.upload_folder(
        repo_id=url.repo_id,
        folder_path=root,
        revision=revision,
        commit_message=commit_message,
        allow_patterns=files,
    )
    return str(url)


def layout_files(folder: Path) -> list[str]:
    """The files of the folder that belong to the layout, as sorted POSIX paths relative to it.

    Raises:
        OutputFolderError: if the folder lacks the configuration, the weights or the card.
    """
    found = sorted(
        path.relative_to(folder).as_posix() for pattern in _LAYOUT for path in folder.glob(pattern) if path.is_file()
    )
    missing = [name for name in _REQUIRED if name not in found]
    if not any(name.endswith(".safetensors") for name in found):
        missing.append("model.safetensors")
    if missing:
        raise OutputFolderError(
            f"{folder} must be a complete model folder",
            f"it lacks {', '.join(missing)}",
            "Finish the run, and write the card with `optimum-cli ose report`",
        )
    return found
