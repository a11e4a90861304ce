"""Several records in one run: which they are, one fit a record or one for all, and the table of the whole."""

from ecgcvx.dataset.run import DatasetOptions, Reading, fit_records
from ecgcvx.dataset.sources import expand_sources
from ecgcvx.dataset.table import Row, dataset_table, read_rows, write_dataset

__all__ = [
    "DatasetOptions", "Reading", "Row", "dataset_table", "expand_sources", "fit_records", "read_rows", "write_dataset",
]  # fmt: skip
