"""What the firmware costs: .mpy bytes, and the smallest heap for a first boot to telemetry.

`make size` prints it and ends with 1 over a budget; tests/test_size.py holds the same budgets. The
budgets are design section 3's, and only ever lowered. Sizes are of the files as they are staged
(-O3); the heap is the unix port's, objects of 64 bits, without the stand-ins that a board has in
its ROM, and TLS's buffers are not in it there.
"""

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from firstlight.emulator.running import running_azure
from firstlight.emulator.settings import Settings
from firstlight.layout import firmware_folder
from firstlight.stage import compiled
from tests.board.issuing import Issuer, b64, csr, ec_key, key_der, pem
from tests.e2e.bench import NAME, Bench

AZIOT_BYTES = 16 * 1024
CORE_BYTES = 5 * 1024
CORE = ("dps", "sas", "quote", "errors", "backoff")
HEAP_KB = 48
ATTESTATIONS = ("key", "chain of three")
_BOOT_S = 20.0
_TRIES = 3  # when what comes over the network comes is not the same each time
_NO_MEMORY = (b"MemoryError", b"ENOMEM")


def module_bytes() -> dict[str, int]:
    """The .mpy size of each module of the firmware, by its path without the ending."""
    top = firmware_folder()
    sources = sorted([*top.glob("aziot/*.py"), *top.glob("*.py")])
    return {
        path.relative_to(top).with_suffix("").as_posix(): len(
            compiled(path.read_bytes(), path.stem)
        )
        for path in sources
    }


def aziot_bytes(sizes: dict[str, int]) -> int:
    """The whole library's."""
    return sum(size for name, size in sizes.items() if name.startswith("aziot/"))


def core_bytes(sizes: dict[str, int]) -> int:
    """That of registering: dps, sas, quote, errors, backoff."""
    return sum(sizes[f"aziot/{name}"] for name in CORE)


def boots(bench: Bench, heap_kb: int) -> bool:
    """Whether a first boot with so much heap reaches the hub, and a sample is acknowledged.

    At the first try: a board that had not memory enough for one may get there with another.
    """
    bench.set_heap(heap_kb * 1024)
    bench.forget()
    count = len(bench.azure.telemetry(NAME))
    deadline_s = time.monotonic() + _BOOT_S
    with bench.board:
        while time.monotonic() < deadline_s and not _starved(bench.board.console):
            with suppress(TimeoutError):
                bench.azure.wait_for_telemetry(count + 2, NAME, 0.5)
                return not _starved(bench.board.console)
    return False


def _starved(console: bytes) -> bool:
    return any(word in console for word in _NO_MEMORY)


def ready(folder: Path, azure: object, attestation: str = "key") -> Bench:
    """A board with firmware and identity, never booted. attestation: one of ATTESTATIONS."""
    bench = Bench(folder, azure)  # type: ignore[arg-type]
    if attestation == "key":
        bench.inject(bench.document(bench.group_key()[1]))
    else:
        bench.give(bench.certified(chain_of_three(bench)))
    return bench


def chain_of_three(bench: Bench) -> dict[str, Any]:
    """An identity's x509 for a device of a group: P-256, a leaf, two intermediates, and a CSR."""
    root = Issuer("the factory's root")
    batch = Issuer("batch 7 of November 2026", Issuer("line 2 of the factory", root))
    key = ec_key()
    bench.azure.add_ca("factory", pem(root.certificate))
    bench.azure.enroll_x509_group("batch-7", ca_name="factory")
    return {
        "chain": batch.chain(batch.leaf(NAME, key, (-1, 3650))),
        "key": b64(key_der(key)),
        "csr": b64(csr(key, NAME)),
    }


def settings(folder: Path) -> Settings:
    """A local Azure that answers as soon as a device may ask."""
    return Settings(mqtt_port=0, https_port=0, retry_after_s=1, folder=folder)


def smallest_heap_kb(attestation: str = "key") -> int:
    """Find it by halving, from 41 to 56; with it a first boot succeeds again and again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_azure(settings(folder / "azure")) as azure:
            bench = ready(folder / "board", azure, attestation)
            fails, passes = 40, 56
            while passes - fails > 1:
                middle = (fails + passes) // 2
                fits = all(boots(bench, middle) for _ in range(_TRIES))
                fails, passes = (fails, middle) if fits else (middle, passes)
            return passes


def main() -> int:
    sizes = module_bytes()
    for name, size in sizes.items():
        print(f"{size:7d}  {name}.mpy")
    rows = [
        ("aziot, all of it", aziot_bytes(sizes), AZIOT_BYTES, "bytes"),
        (f"aziot/{{{','.join(CORE)}}}", core_bytes(sizes), CORE_BYTES, "bytes"),
    ]
    with ThreadPoolExecutor() as boards:  # which wait more than they compute
        heaps = boards.map(smallest_heap_kb, ATTESTATIONS)
    rows += [
        (f"smallest heap for a first boot with a {name}", found, HEAP_KB, "KB")
        for name, found in zip(ATTESTATIONS, heaps, strict=True)
    ]
    print()
    for what, found, budget, unit in rows:
        verdict = "over its budget" if found > budget else "within its budget"
        print(f"{found:7d}  {unit:5}  {what}: {verdict} of {budget}")
    return 1 if any(found > budget for _, found, budget, _ in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
