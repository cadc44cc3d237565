"""Configs from plain mappings, as config files and run records hold them."""

import json
import logging
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from optimum_ose.configuration.faults import Fault, faults_of, refusal
from optimum_ose.configuration.plain_values import NotPlainError, as_json
from optimum_ose.configuration.rules import adapter_of
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.wording import listed, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 1
_LOGGER = logging.getLogger(__name__)
_ConfigT = TypeVar("_ConfigT")


def config_from_dict(kind: type[_ConfigT], values: Mapping[str, Any], *, owner: str | None = None) -> _ConfigT:
    """A config record from a plain mapping; missing settings take their defaults.

    Args:
        kind: the record.
        values: settings by name, perhaps with `schema_version`.
        owner: where the settings come from, for messages; None: the record's name.

    Raises:
        InvalidConfigError: names every setting that is unknown (a warning only where a newer version wrote the
            mapping), of the wrong type, or out of range.
    """
    from pydantic import ValidationError

    owner = owner or kind.__name__
    if not isinstance(values, Mapping):
        raise InvalidConfigError(
            f"{kind.__name__} must be given as a mapping", f"got {shown(values)}", "Write the settings as `name: value`"
        )
    settings = {name: value for name, value in values.items() if name != "schema_version"}
    version = _version(values, owner)
    try:
        config = _read(kind, settings)
    except NotPlainError as error:
        raise refusal(owner, [error.fault]) from error
    except ValidationError as error:
        unknown = [found["loc"] for found in error.errors() if found["type"] == "unexpected_keyword_argument"]
        if version <= SCHEMA_VERSION or not unknown:
            raise refusal(owner, faults_of(error, kind)) from error
        config = config_from_dict(kind, _without(settings, unknown), owner=owner)
    else:
        unknown = []
    if version > SCHEMA_VERSION:
        ignored = listed(".".join(map(str, place)) for place in unknown)
        _LOGGER.warning(
            "%s: written by a newer version of optimum-ose (schema_version %s; this one writes %s)%s",
            owner,
            shown(version),
            SCHEMA_VERSION,
            f"; these settings are ignored: {ignored}" if ignored else "",
        )
    return config


def _read(kind: type[_ConfigT], settings: Mapping[str, Any]) -> _ConfigT:
    adapter: TypeAdapter[_ConfigT] = adapter_of(cast("Hashable", kind))
    return adapter.validate_json(as_json(settings))


def _version(values: Mapping[str, Any], owner: str) -> int:
    version = values.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise refusal(owner, [Fault("schema_version", "must be a whole number, at least 1", version)])
    return version


def _without(settings: Mapping[str, Any], places: list[tuple[int | str, ...]]) -> dict[str, Any]:
    """The settings without those at some places."""
    kept: dict[str, Any] = json.loads(as_json(settings))
    for *parents, last in places:
        holder: Any = kept
        for part in parents:
            holder = holder[part]
        del holder[last]
    return kept
