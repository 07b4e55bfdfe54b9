"""The budgets of design section 3, as tests."""

from pathlib import Path
from typing import Any

import pytest

from firstlight.emulator.running import running_azure
from tests import size


def test_the_library_is_within_its_budget() -> None:
    assert size.aziot_bytes(size.module_bytes()) <= size.AZIOT_BYTES


def test_registering_is_within_its_budget() -> None:
    assert size.core_bytes(size.module_bytes()) <= size.CORE_BYTES


@pytest.mark.timeout(120)
@pytest.mark.parametrize("attestation", size.ATTESTATIONS)
def test_a_first_boot_fits_into_the_heap_budget(attestation: str, tmp_path: Path) -> None:
    with running_azure(size.settings(tmp_path / "azure")) as azure:
        assert size.boots(size.ready(tmp_path / "board", azure, attestation), size.HEAP_KB)


class Told:
    """A board that has said so and so, at a hub that has its telemetry."""

    def __init__(self, console: bytes) -> None:
        self.azure = self.board = self
        self.console = console

    def __enter__(self) -> "Told":
        return self

    def __exit__(self, *_: object) -> None: ...
    def set_heap(self, heap_bytes: int) -> None: ...
    def forget(self) -> None: ...
    def telemetry(self, name: str) -> list[str]:
        return []

    def wait_for_telemetry(self, count: int, name: str, timeout_s: float) -> None: ...


@pytest.mark.parametrize(
    ("console", "fits"),
    [
        (b"      11 ms  hub    acknowledged 1, waiting 0\n", True),
        (b"      18 ms  register failed: OSError [Errno 12] ENOMEM; next in 7 s\n", False),
        (b"MemoryError: memory allocation failed, allocating 256 bytes\n", False),
    ],
)
def test_a_boot_that_had_to_try_again_for_want_of_memory_does_not_count(
    console: bytes, fits: bool
) -> None:
    told: Any = Told(console)
    assert size.boots(told, size.HEAP_KB) is fits
