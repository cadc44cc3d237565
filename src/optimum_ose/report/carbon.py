"""Reads what codecarbon wrote beside the records of a run."""

import csv
import math
from pathlib import Path

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.hub.facts import Carbon
from optimum_ose.wording import one_line


def read_carbon(path: Path) -> Carbon | None:
    """The emissions of every run that the file lists, together; None if there is no file.

    Args:
        path: a file with codecarbon's columns: `emissions` in kg of CO2 equivalents, `codecarbon_version`, `cpu_model`,
            `country_name`.

    Raises:
        InvalidConfigError: if the file is not codecarbon's.
    """
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        kilograms = math.fsum(float(row["emissions"]) for row in rows)
        last = rows[-1]
    except (KeyError, IndexError, TypeError, ValueError, csv.Error) as error:
        raise InvalidConfigError(
            f"{path} must hold what codecarbon writes, with a column `emissions` in kg",
            f"reading it failed: {type(error).__name__} {one_line(error, limit=80)}",
            "Remove it, or track a run again",
        ) from error
    if not math.isfinite(kilograms) or kilograms < 0:
        raise InvalidConfigError(f"{path} must hold finite emissions", f"they sum up to {kilograms}", "Remove the file")
    return Carbon(
        grams=kilograms * 1e3,
        source=f"codecarbon {last.get('codecarbon_version') or ''}".strip(),
        hardware=last.get("cpu_model") or None,
        location=last.get("country_name") or None,
    )
