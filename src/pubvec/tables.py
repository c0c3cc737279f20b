"""Records ↔ Arrow tables and JSON: the schema of a `NamedTuple` class, and rows there and back."""

from __future__ import annotations

import datetime
import types
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

_EPOCH = datetime.date(1970, 1, 1).toordinal()
_SCALARS: Mapping[Any, pa.DataType] = {
    int: pa.int32(),
    str: pa.string(),
    bool: pa.bool_(),
    float: pa.float32(),
    datetime.date: pa.date32(),
}


@cache
def schema_of(record: type) -> pa.Schema:
    """Arrow schema of a `NamedTuple` class, one column a field."""
    hints = get_type_hints(record)
    return pa.schema([pa.field(name, _arrow_type(hint)) for name, hint in hints.items()])


def table_of(record: type, rows: Sequence[Any]) -> pa.Table:
    """Table of `rows`, all instances of `record`."""
    schema = schema_of(record)
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [_array_of(list(column), field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def rows_of(record: type, table: pa.Table) -> list[Any]:
    """Instances of `record` from `table`, nested records included.

    Columns may be in any order. A column that the table lacks, because an older version wrote it, gives None or empty lists
    where the record allows for that.

    Raises:
        KeyError: a column that every record must have is not there.
    """
    hints = get_type_hints(record)
    known = set(table.column_names)
    columns = [
        _column_values(table.column(name).to_pylist(), hint)
        if name in known
        else [_nothing(hint, name) for _ in range(table.num_rows)]
        for name, hint in hints.items()
    ]
    return [record(*row) for row in zip(*columns, strict=True)]


def dict_of(record: Any) -> Any:
    """Return a record in the form of JSON: nested records are dictionaries, and dates are written as in ISO 8601."""
    if hasattr(record, "_fields"):
        return {name: dict_of(value) for name, value in zip(record._fields, record, strict=True)}
    if isinstance(record, list):
        return [dict_of(item) for item in record]
    return record.isoformat() if isinstance(record, datetime.date) else record


def record_of(record: type, fields: Mapping[str, Any]) -> Any:
    """Return the record that `dict_of` turned into `fields`."""
    return _revive(fields, record)


def _array_of(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Do the work of `pa.array`, which would import pandas where it is installed and so cost 80 MB and 0.4 s."""
    n_values = len(values)
    if values.count(None) == n_values:
        return pa.nulls(n_values, kind)
    is_valid = _bits(value is not None for value in values) if None in values else None
    if pa.types.is_struct(kind):
        nothing = (None,) * kind.num_fields
        columns = zip(*(nothing if value is None else value for value in values), strict=True)
        children = [_array_of(list(column), field.type) for column, field in zip(columns, kind, strict=True)]
        return pa.Array.from_buffers(kind, n_values, [is_valid], children=children)
    if pa.types.is_list(kind):
        items = [item for value in values for item in value or ()]
        offsets = _offsets(values)
        return pa.Array.from_buffers(
            kind, n_values, [is_valid, offsets], children=[_array_of(items, kind.value_type)]
        )
    if pa.types.is_string(kind):
        encoded = [value.encode() if value else b"" for value in values]
        data = pa.py_buffer(b"".join(encoded))
        return pa.Array.from_buffers(kind, n_values, [is_valid, _offsets(encoded), data])
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, n_values, [is_valid, _bits(values)])
    if pa.types.is_date(kind):
        values = [None if value is None else value.toordinal() - _EPOCH for value in values]
    numbers = np.array(
        [value or 0 for value in values], dtype=np.int32 if kind != pa.float32() else np.float32
    )
    return pa.Array.from_buffers(kind, n_values, [is_valid, pa.py_buffer(numbers)])


def _bits(flags: Iterable[Any]) -> pa.Buffer:
    return pa.py_buffer(np.packbits([bool(flag) for flag in flags], bitorder="little"))


def _offsets(values: Sequence[Any]) -> pa.Buffer:
    sizes = [len(value) if value else 0 for value in values]
    return pa.py_buffer(np.cumsum([0, *sizes], dtype=np.int32))


def _column_values(values: list[Any], hint: Any) -> list[Any]:
    record = _record_inside(hint)
    if record is None:
        return values
    return [_revive(value, hint) for value in values]


def _revive(value: Any, hint: Any) -> Any:
    """Turn dictionaries back into the records that `hint` names, and ISO dates into dates."""
    if value is None or _record_inside(hint) is None:
        is_date = isinstance(value, str) and _strip_none(hint) is datetime.date
        return datetime.date.fromisoformat(value) if is_date else value
    if get_origin(hint) is list:
        (item,) = get_args(hint)
        return [_revive(element, item) for element in value]
    record = _strip_none(hint)
    return record(
        *(
            _revive(value[name], inner) if name in value else _nothing(inner, name)
            for name, inner in _hints(record).items()
        )
    )


def _nothing(hint: Any, name: str) -> Any:
    """The value of a field that is not given: None or a new list, where its type `hint` allows for one."""
    if get_origin(hint) is list:
        return []
    if _strip_none(hint) is hint:
        raise KeyError(name)
    return None


@cache
def _hints(record: type) -> dict[str, Any]:
    return get_type_hints(record)


@cache
def _record_inside(hint: Any) -> type | None:
    hint = _strip_none(hint)
    if get_origin(hint) is list:
        return _record_inside(get_args(hint)[0])
    return hint if isinstance(hint, type) and hasattr(hint, "_fields") else None


@cache
def _strip_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (argument for argument in get_args(hint) if argument is not type(None))
    return hint


def _arrow_type(hint: Any) -> pa.DataType:
    hint = _strip_none(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if get_origin(hint) is list:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    return pa.struct([pa.field(name, _arrow_type(inner)) for name, inner in _hints(hint).items()])
