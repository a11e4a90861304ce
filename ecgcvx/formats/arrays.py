"""Tables that are arrays: .npy, .npz, .mat without a WFDB header, .parquet, pandas objects."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.csv_layout import LOOKED_AT, MANY
from ecgcvx.formats.shared import reason
from ecgcvx.formats.table import Table
from ecgcvx.formats.units import Head, is_time, read_head
from ecgcvx.types import Array

LARGEST = 1 << 32  # bytes that a compressed file may unfold to
_RATES = (
    "fs",
    "sfreq",
    "sampling_frequency",
    "sampling_rate",
    "sample_rate",
    "samplerate",
    "frequency",
    "freq",
    "rate",
)
_UNITS = ("unit", "units")


def numpy_table(path: Path) -> Table:
    """Return a .npy or .npz file as a table: arrays (n,) or (n, leads), by their names in an .npz file."""
    source = str(path)
    try:
        if path.suffix.lower() == ".npy":
            return _of_arrays({"": np.load(path, mmap_mode="r", allow_pickle=False)}, source)
        with zipfile.ZipFile(path) as archive:
            _check_unfolded(sum(item.file_size for item in archive.infolist()), source)
        with np.load(path, allow_pickle=False) as file:
            return _of_arrays({name: file[name] for name in file.files}, source)
    except RecordError:
        raise
    except OSError as error:
        raise _missing(error, source) from error
    except Exception as error:  # NumPy raises what its parsing meets
        raise RecordError(f"{source}: NumPy cannot read it ({reason(error)}); save plain arrays of numbers") from error


def matlab_table(path: Path) -> Table:
    """Return a .mat file (up to version 7) as a table, by the names of its variables."""
    from scipy.io import loadmat, whosmat

    source = str(path)
    try:
        sizes = {name: int(np.prod(shape, dtype=np.float64)) * 8 for name, shape, _ in whosmat(path)}
        _check_unfolded(sum(sizes.values()), source)
        variables = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except RecordError:
        raise
    except NotImplementedError as error:
        raise RecordError(f"{source}: MATLAB 7.3 is not read; save it with -v7, or as CSV") from error
    except OSError as error:
        raise _missing(error, source) from error
    except Exception as error:  # SciPy raises what its parsing meets
        raise RecordError(f"{source}: SciPy cannot read it ({reason(error)}); save it with -v7, or as CSV") from error
    return _of_arrays(variables, source)


def parquet_table(path: Path) -> Table:
    """Return a .parquet file as a table, of which only the columns asked for are read."""
    source = str(path)
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise RecordError(
            f"{source}: Parquet needs pyarrow; pip install 'ecgcvx[parquet]', or convert it to CSV"
        ) from None

    def column(name: str) -> Any:
        return parquet.read_table(path, columns=[name]).column(0).to_pandas()

    try:
        names = list(parquet.read_schema(path).names)
        first = parquet.ParquetFile(path)
        head = next(first.iter_batches(batch_size=LOOKED_AT), None)
        if head is None:
            raise RecordError(f"{source}: the record is empty; give one with samples")
        some = head.to_pandas()
        some = some.reset_index() if some.index.name in names else some
    except RecordError:
        raise
    except OSError as error:
        raise _missing(error, source) from error
    except Exception as error:  # pyarrow raises what its parsing meets
        raise RecordError(f"{source}: pyarrow cannot read it ({reason(error)}); convert it to CSV") from error
    return _of_columns(names, [some[name] for name in names], column, source)


def pandas_table(data: Any) -> Table:
    """Return a pandas Series or DataFrame as a table; an index of times is a column of times."""
    import pandas as pd

    source = f"pandas {type(data).__name__}"
    frame = data.to_frame() if isinstance(data, pd.Series) else data
    if len(frame) == 0:
        raise RecordError(f"{source}: the record is empty; give one with samples")
    names = ["" if name is None or isinstance(name, int) else str(name) for name in frame.columns]
    columns: list[Any] = [frame.iloc[:, k] for k in range(frame.shape[1])]
    index = frame.index
    timed = isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) or is_time(read_head(str(index.name or "")))
    if timed or (index.dtype.kind == "f"):
        columns.insert(0, index.to_series())
        names.insert(0, str(index.name) if is_time(read_head(str(index.name or ""))) else "time")

    def column(name: str) -> Any:
        return columns[int(name)]

    keys = [str(k) for k in range(len(names))]
    return _of_columns(keys, [values.iloc[:LOOKED_AT] for values in columns], column, source, names)


def _of_columns(
    keys: Sequence[str],
    some: Sequence[Any],
    column: Callable[[str], Any],
    source: str,
    names: Sequence[str] | None = None,
) -> Table:
    """A table of pandas columns; `some` has their first rows."""
    kept = [k for k, values in enumerate(some) if _is_number(values) or _is_instant(values)]
    if not kept:
        raise RecordError(f"{source}: no column of numbers; give one column a lead")
    titles = names or keys
    heads = []
    for k in kept:
        head = read_head(titles[k])
        heads.append(Head(head.name or "time", "") if _is_instant(some[k]) else head)
    clocks = frozenset(place for place, k in enumerate(kept) if _is_instant(some[k]))

    def read(number: int, times: int | None) -> tuple[Array, Array | None]:
        return values(number), None if times is None else values(times)

    def values(number: int) -> Array:
        try:
            return _floats(column(keys[kept[number]]), source)
        except RecordError:
            raise
        except Exception as error:
            raise RecordError(f"{source}: column {titles[kept[number]]}: {reason(error)}; correct it") from error

    first = np.column_stack([_floats(some[k], source) for k in kept])
    return Table(source, tuple(heads), any(titles), read, lambda row: f"row {row}", first, clocks)


def _is_number(values: Any) -> bool:
    from pandas.api import types

    return (
        bool(types.is_numeric_dtype(values.dtype))
        and not types.is_bool_dtype(values.dtype)
        and not (types.is_complex_dtype(values.dtype))
    )


def _is_instant(values: Any) -> bool:
    return getattr(values.dtype, "kind", "") in "mM"


def _floats(values: Any, source: str) -> Array:
    import pandas as pd

    if _is_instant(values):
        base = values.iloc[0] if len(values) else 0
        seconds = (values - base) / pd.Timedelta(seconds=1)
        return np.asarray(seconds.to_numpy(np.float64))
    out: Array = values.to_numpy(np.float64, na_value=np.nan)
    if np.isinf(out).any():
        raise RecordError(f"{source}: row {int(np.argmax(np.isinf(out)))} is infinite; correct it or make it NaN")
    return out


def _of_arrays(arrays: Mapping[str, Any], source: str) -> Table:
    """A table of named arrays; scalars may give the sampling frequency (`fs`) and the unit (`unit`)."""
    rate, unit = None, ""
    columns: list[Array] = []
    heads: list[Head] = []
    for name, value in arrays.items():
        array = np.asarray(value)
        plain = name.lower().replace("-", "_")
        if plain in _RATES and array.size == 1 and array.dtype.kind in "fiu":
            rate = float(array.reshape(()))
        elif plain in _UNITS and array.size == 1:
            unit = str(array.reshape(()))
        elif array.dtype.kind in "fiu" and array.size > 1:
            found = _columns_of(array, name, source)
            columns += found
            heads += [read_head(name)] * len(found)
        elif array.dtype.kind in "fiu" and array.size == 0:
            raise RecordError(f"{source}: {name or 'the array'} is empty; give one with samples")
        elif name == "":
            raise RecordError(
                f"{source}: an array of {array.dtype} is no signal; save plain numbers, shape (samples, leads)"
            )
    if not columns:
        raise RecordError(
            f"{source}: no array of samples among {', '.join(arrays) or 'none'}; save one, (samples, leads)"
        )
    n = max(len(values) for values in columns)
    whole = [k for k, values in enumerate(columns) if len(values) == n]
    heads = [Head(heads[k].name, heads[k].unit or ("" if is_time(heads[k]) else unit)) for k in whole]
    if len({head.name for head in heads}) == 1 and len(heads) > 1:
        heads = [Head("", head.unit) for head in heads]  # the columns of one array

    def read(number: int, times: int | None) -> tuple[Array, Array | None]:
        return floats(number), None if times is None else floats(times)

    def floats(number: int) -> Array:
        out = np.array(columns[whole[number]], dtype=np.float64)
        if np.isinf(out).any():
            raise RecordError(
                f"{source}: sample {int(np.argmax(np.isinf(out)))} is infinite; correct it or make it NaN"
            )
        return out

    first = np.column_stack([np.asarray(columns[k][:LOOKED_AT], dtype=np.float64) for k in whole])
    named = any(head.name for head in heads)
    return Table(source, tuple(heads), named, read, lambda row: f"sample {row}", first, frozenset(), rate)


def _columns_of(array: Any, name: str, source: str) -> list[Array]:
    """The leads of an array (n,), (n, leads) or (leads, n): there are more samples than leads."""
    array = array.squeeze()
    if array.ndim == 1:
        return [array]
    if array.ndim != 2 or min(array.shape) > MANY:
        shape = " x ".join(map(str, array.shape))
        raise RecordError(f"{source}: {name or 'an array'} of {shape} is no table; save it as (samples, leads)")
    array = array if array.shape[0] >= array.shape[1] else array.T
    return [array[:, k] for k in range(array.shape[1])]


def _check_unfolded(size: int, source: str) -> None:
    if size > LARGEST:
        raise RecordError(f"{source}: unfolds to {size:,} bytes; save less in one file")


def _missing(error: OSError, source: str) -> RecordError:
    return RecordError(
        f"{source}: cannot be read ({error.strerror or reason(error)}); check the path and its permissions"
    )
