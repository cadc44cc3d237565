"""Tables of plain Python values, as every kind of file and data set becomes one."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from datasets import ClassLabel, Dataset, Features

UNTYPED = "untyped"
"""Attribute of a table whose file knows text only: a number in it is what its text says."""
CLASS_NAMES = "class_names"
"""Attribute of a table: column -> names of its classes in their order, where the data set declares them."""


def table_of(columns: Mapping[str, Sequence[Any]], **attributes: Any) -> pd.DataFrame:
    """A table whose values are kept as they are: whole numbers stay whole, what is missing is None.

    Args:
        columns: name -> values, equally many in each.
        attributes: what else is known of the table, kept in `DataFrame.attrs`.
    """
    table = pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in columns.items()})
    table.attrs.update(attributes)
    return table


def named_table(rows: Dataset) -> pd.DataFrame:
    """A data set as a table, whatever its format, with the numbers of classes replaced by their names."""
    arrow = rows.with_format("arrow")[:] if len(rows) else rows.data.table.slice(0, 0)
    return arrow_table(arrow, rows.features)


def arrow_table(arrow: pa.Table, features: Features | None = None) -> pd.DataFrame:
    """An Arrow table as a table, with the numbers of classes replaced by their names.

    Args:
        arrow: the columns; the index that pandas stores as a column is left out.
        features: of the columns; None: those that `datasets` has written into the schema, if it has.

    Raises:
        ValueError: if a column stands there twice, or a class has a number beyond its names.
    """
    names = [name for name in arrow.column_names if not name.startswith("__index_level_")]
    if len(set(names)) < len(names):
        raise ValueError("two columns have the same name")
    if features is None and b"huggingface" in (arrow.schema.metadata or {}):
        features = Features.from_arrow_schema(arrow.schema)
    columns, class_names = {}, {}
    for name in names:
        feature = (features or {}).get(name)
        values = arrow.column(name).to_pylist()
        label = feature if isinstance(feature, ClassLabel) else getattr(feature, "feature", None)
        if isinstance(label, ClassLabel) and label.names is not None:
            class_names[name] = tuple(label.names)
            values = [_named(value, label.names) for value in values]
        columns[name] = values
    return table_of(columns, **{CLASS_NAMES: class_names})


def _named(value: Any, names: Sequence[str]) -> Any:
    if value is None or (isinstance(value, int) and value < 0):
        return None  # -1 and -100 mark what has no class
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if value >= len(names):
        raise ValueError(f"class {value} has no name: there are {len(names)}")
    return names[value]
