"""Fixtures that several test modules use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def record_208() -> Path:
    """Path, without extension, of the record that ships with the project."""
    return Path(__file__).resolve().parent.parent / "data" / "mitdb208" / "208"
