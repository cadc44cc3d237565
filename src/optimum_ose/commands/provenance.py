"""What the model card may say about where model and data come from: no paths of this machine."""

from pathlib import Path
from typing import Any, Protocol


class Sources(Protocol):
    """Where a run's model and data come from."""

    @property
    def model(self) -> str:
        """Folder or Hub id of the teacher."""

    @property
    def dataset(self) -> str:
        """File, folder or Hub id of the data."""

    @property
    def base_model(self) -> str | None:
        """Hub id of a teacher that is a folder."""


def provenance(request: Sources) -> dict[str, Any]:
    """Teacher, data set, and what the student inherits from the teacher's own card: license and languages.

    Raises:
        InvalidConfigError: if `base_model` is no Hub id.
    """
    from optimum_ose.hub.repository import require_repository

    found: dict[str, Any] = {"dataset_name": Path(request.dataset).name, **_inherited(request.model)}
    if not Path(request.model).exists():
        found["base_model"] = request.model
    elif request.base_model is not None:
        require_repository(request.base_model, role="--base-model", remedy="Leave it out for a teacher of your own")
        found["base_model"] = request.base_model
    if not Path(request.dataset).exists():
        found["dataset_id"] = request.dataset
    return found


def _inherited(model: str) -> dict[str, Any]:
    """What the teacher's card says; nothing if there is none or it cannot be read."""
    from huggingface_hub import hf_hub_download, metadata_load
    from yaml import YAMLError

    folder = Path(model)
    try:
        card = folder / "README.md" if folder.exists() else Path(hf_hub_download(model, "README.md"))
        data = metadata_load(card) if card.is_file() else None
    except (OSError, ValueError, YAMLError):
        return {}
    if not isinstance(data, dict):
        return {}
    texts = {
        name: data[name] for name in ("license", "license_name", "license_link") if isinstance(data.get(name), str)
    }
    languages = data.get("language")
    listed = [languages] if isinstance(languages, str) else languages if isinstance(languages, list) else []
    return {**texts, "languages": [language for language in listed if isinstance(language, str)]}
