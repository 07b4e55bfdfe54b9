"""MicroPython's image for a board: a file of the user's, or upstream's, fetched once and kept.

Never returns bytes that are not the ones that were asked for: a hash that the user or board.json
names is compared; where there is none, the first fetch's is kept beside the image, told, and
compared ever after. Never leaves half a file under an image's name.
"""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import aiohttp
import certifi
from platformdirs import user_cache_path

from ..boards import Board
from ..errors import ToolError, UsageError
from ..roots import content
from ..wholefile import write_whole
from . import partitions, uf2
from .pieces import Image

__all__ = ["Image", "check", "obtain", "version"]

LONGEST = 32 << 20  # bytes; the largest flash is 16 MB, which UF2 doubles
_WHOLE_S = 900.0
_SILENCE_S = 30.0  # without a byte
_CHUNK = 1 << 16
_ESP_MAGIC = 0xE9
# By which chip an image says that it is for, bytes 12 and 13 (esptool, targets, IMAGE_CHIP_ID).
_ESP_CHIPS = {"esp32": 0, "esp32s2": 2, "esp32c3": 5, "esp32s3": 9, "esp32c6": 13}
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What the REPL greets with: "MicroPython v1.28.0 on 2026-04-06" (py/modsys.c).
_BANNER = re.compile(rb"MicroPython v(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?[^\0]{0,60} on \d{4}-")
_RECORDED = ": recorded, for the next time (pin it by --sha256, or in board.json)"
_LITTLEFS_MAGIC = b"littlefs"


def obtain(
    board: Board,
    source: Path | None,
    sha256: str | None,
    cache: Path | None,
    say: Callable[[str], None],
) -> Image:
    """The image in the file source, or else upstream's, fetched at most once.

    sha256: what it must have, over all that is recorded. cache: a folder; None: the user's. say
    takes a line about what was fetched. Raise UsageError if the image is not the one, or not for
    the board; ToolError if it cannot be fetched.
    """
    wanted = _hash(sha256)
    if source is not None:
        data, place = content(source, LONGEST, "MicroPython image"), str(source)
        _compare(data, wanted, f"{source} is not the image that --sha256 names")
    else:
        data, place = _upstream(board, wanted, cache or user_cache_path("firstlight"), say)
    check(board, data)
    return Image(board.id, data, hashlib.sha256(data).hexdigest(), place)


def check(board: Board, data: bytes) -> None:
    """Raise UsageError unless this is an image for that kind of board, so far as it says."""
    if board.loader == "uf2" and board.uf2 is not None:
        uf2.pieces(data, board.uf2)
    elif board.loader == "esptool":
        _check_esp(board, data)
    elif data[8:16] != _LITTLEFS_MAGIC:
        raise UsageError(f"a {board.id} takes a littlefs as its image, and this is none")


def version(board: Board, data: bytes) -> tuple[int, ...] | None:
    """The MicroPython in an image, (1, 28, 0), as its banner has it; None if it does not say."""
    parts = uf2.pieces(data, board.uf2) if board.loader == "uf2" and board.uf2 else None
    whole = b"".join(part.data for part in parts) if parts else data
    found = _BANNER.search(whole)
    return tuple(int(number or 0) for number in found.groups()) if found else None


def _check_esp(board: Board, data: bytes) -> None:
    if len(data) < 16 or data[0] != _ESP_MAGIC:
        raise UsageError(
            f"this is no image for an {board.mcu}: it must be MicroPython's .bin, which begins "
            f"with the boot loader, for {board.flash_offset or 0:#x}"
        )
    chip = int.from_bytes(data[12:14], "little")
    if board.mcu in _ESP_CHIPS and chip != _ESP_CHIPS[board.mcu]:
        names = {number: name for name, number in _ESP_CHIPS.items()}
        raise UsageError(
            f"the image is for an {names.get(chip, f'unknown chip ({chip})')}, and a {board.id} "
            f"has an {board.mcu}: name the right image, or the right board"
        )
    starts_at = board.flash_offset or 0
    partitions.check_application(data, starts_at, partitions.read(data, starts_at))


def _upstream(
    board: Board, wanted: str | None, cache: Path, say: Callable[[str], None]
) -> tuple[bytes, str]:
    """What board.json's address gives, from the cache if it is there."""
    if board.firmware is None:
        raise UsageError(f"no image of MicroPython is known for a {board.id}: name one by --image")
    url = board.firmware.url
    kept = _kept_at(cache, url)
    recorded = _recorded(kept)
    expected = wanted or board.firmware.sha256 or recorded
    data = _read(kept)
    if data and expected and hashlib.sha256(data).hexdigest() == expected:
        return data, url
    say(f"fetching {url}" + (", for the copy kept of it is another" if data and expected else ""))
    data = _fetch(url)
    found = _compare(
        data,
        expected,
        f"{url} gave another file than the one that is expected: if it was replaced there and "
        f"you trust the new one, name its hash by --sha256",
    )
    check(board, data)  # what is no image is not worth keeping
    _keep(kept, data, found)
    say(f"fetched {len(data)} bytes, SHA-256 {found}" + ("" if expected else _RECORDED))
    return data, url


def _hash(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    if not _SHA256.fullmatch(sha256.lower()):
        raise UsageError("--sha256 must be 64 hexadecimal digits")
    return sha256.lower()


def _compare(data: bytes, expected: str | None, complaint: str) -> str:
    """The data's SHA-256. Raise UsageError, with both, if another one is expected."""
    found = hashlib.sha256(data).hexdigest()
    if expected is not None and found != expected:
        raise UsageError(f"{complaint} (SHA-256 {found}, expected {expected})")
    return found


def _kept_at(cache: Path, url: str) -> Path:
    """Where an address's image is kept: under its own name, apart from others of that name."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", PurePosixPath(urlsplit(url).path).name)[-80:]
    return cache / "images" / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"


def _recorded(kept: Path) -> str | None:
    """The hash beside an image, as sha256sum writes and checks it."""
    text = _read(kept.with_name(kept.name + ".sha256")).decode("ascii", "replace")[:64]
    return text if _SHA256.fullmatch(text) else None


def _read(path: Path) -> bytes:
    """A file of the cache; empty if there is none, or it is none of ours."""
    try:
        with path.open("rb") as file:
            return file.read(LONGEST + 1)
    except OSError:
        return b""


def _keep(kept: Path, data: bytes, sha256: str) -> None:
    """The hash first: an image without one would be taken for a first fetch."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        note = f"{sha256}  {kept.name}\n"  # an empty one after a power cut: a first fetch
        write_whole(kept.with_name(kept.name + ".sha256"), note.encode())
        write_whole(kept, data)
    except OSError as error:
        raise ToolError(f"cannot keep the image in {kept.parent}: {error.strerror}") from None


def _fetch(url: str) -> bytes:
    try:
        return asyncio.run(_fetched(url))
    except TimeoutError:
        why = "it takes too long: try again"
    except aiohttp.ClientResponseError as error:
        why = f"it answered {error.status}"
    except aiohttp.ClientPayloadError:
        why = "it broke off mid-way: try again"
    except aiohttp.ClientConnectorCertificateError:
        why = "its certificate is not trusted: is a proxy in between, or this PC's clock wrong?"
    except (aiohttp.ClientError, OSError, ValueError):
        why = "it cannot be reached: is this machine online?"
    raise ToolError(
        f"cannot fetch {url}: {why} (or fetch it elsewhere, and name the file by --image)"
    )


async def _fetched(url: str) -> bytes:
    """The body of a GET, of LONGEST bytes at most. Raise what aiohttp raises, or ToolError."""
    timeout = aiohttp.ClientTimeout(total=_WHOLE_S, sock_connect=_SILENCE_S, sock_read=_SILENCE_S)
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=certifi.where()))
    data = bytearray()
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=True) as session,
        session.get(url, raise_for_status=True, max_redirects=5) as answer,
    ):
        ways = {hop.url.scheme for hop in (*answer.history, answer)}
        if urlsplit(url).scheme == "https" and ways != {"https"}:
            raise ToolError(f"{url} leads to an unprotected address: it was not fetched")
        async for chunk in answer.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > LONGEST:
                raise ToolError(f"{url} is longer than any image: it was not fetched")
    return bytes(data)
