"""Keys of these tests are sealed at a low price: what the real one costs is measured once.

Nor is the disk waited for: no test here cuts the power.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstlight.ca.folder import Folder
from tests.ca import founded


@pytest.fixture(autouse=True, scope="module")
def _cheap_seal() -> Iterator[None]:
    with founded.cheaply_sealed():
        yield


@pytest.fixture(autouse=True)
def _hasty_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A CA of batch-1, made now."""
    return founded.found(tmp_path / "line-ca")
