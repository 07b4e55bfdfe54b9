"""The budgets of design section 3, as tests."""

from pathlib import Path

import pytest

from firstlight.emulator.running import running_azure
from tests import size


def test_the_library_is_within_its_budget() -> None:
    assert size.aziot_bytes(size.module_bytes()) <= size.AZIOT_BYTES


def test_registering_is_within_its_budget() -> None:
    assert size.core_bytes(size.module_bytes()) <= size.CORE_BYTES


@pytest.mark.timeout(120)
def test_a_first_boot_fits_into_the_heap_budget(tmp_path: Path) -> None:
    with running_azure(size.settings(tmp_path / "azure")) as azure:
        assert size.boots(size.ready(tmp_path / "board", azure), size.HEAP_KB)
