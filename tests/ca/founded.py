"""A CA in a folder, for tests: made in a blink, for its keys are sealed at a low price."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from firstlight.ca import founding, seal
from firstlight.ca.authority import BatchAuthority, open_authority, utc_now
from firstlight.ca.folder import Folder
from firstlight.ca.founding import Wishes
from firstlight.ca.signers import Passphrases
from firstlight.custody import Custody

PASSPHRASE = "correct horse battery 7"
ROOT_PASSPHRASE = "the root's own staple 8"
NAME = "Contoso line CA"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@contextmanager
def cheaply_sealed() -> Iterator[None]:
    """Have keys sealed at a price that costs a test nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seal, "_N", 1 << 4)
        patch.setattr(seal, "_P", 1)
        yield


def custody(batch: str = PASSPHRASE, root: str = ROOT_PASSPHRASE) -> Custody:
    return Custody({"CA": batch, "ROOT": root}, None)


def secrets(batch: str = PASSPHRASE, root: str = ROOT_PASSPHRASE) -> Passphrases:
    return Passphrases(custody(batch, root), "env:CA", "env:ROOT")


def found(path: Path, now: datetime | None = None, **wishes: Any) -> Folder:
    """A root and batch-1, with a passphrase each."""
    folder = Folder(path)
    founding.found(folder, NAME, "batch-1", Wishes(**wishes), secrets(), now or utc_now())
    return folder


def rotated(folder: Folder, batch: str | None = None, *, retire: bool = False) -> None:
    founding.rotate(folder, batch, Wishes(), secrets(), utc_now(), retire=retire)


def opened(path: Path, batch: str | None = None, after: timedelta | None = None) -> BatchAuthority:
    """A batch's CA; after: how much later than now its clock is."""
    return open_authority(
        path, batch, "env:CA", custody(), lambda: utc_now() + (after or timedelta())
    )
