"""Several records in one run: which they are, one fit a record or one for all, and the table of the whole."""

from typing import TYPE_CHECKING

from ecgcvx._lazy import lazy

if TYPE_CHECKING:
    from ecgcvx.dataset.options import DatasetOptions, Reading
    from ecgcvx.dataset.run import fit_records
    from ecgcvx.dataset.sources import expand_sources
    from ecgcvx.dataset.table import Row, dataset_table, read_rows, write_dataset

__all__ = [
    "DatasetOptions", "Reading", "Row", "dataset_table", "expand_sources", "fit_records", "read_rows", "write_dataset",
]  # fmt: skip

__getattr__, __dir__ = lazy(
    __name__,
    {
        "DatasetOptions": "options", "Reading": "options", "Row": "table", "dataset_table": "table",
        "expand_sources": "sources", "fit_records": "run", "read_rows": "table", "write_dataset": "table",
    },
    globals(),
)  # fmt: skip
