"""Images of MicroPython: files, and upstream's over a real HTTP server that does as it is told."""

import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from firstlight import boards
from firstlight.boards import Firmware
from firstlight.errors import ToolError, UsageError
from firstlight.flash import images, uf2
from firstlight.flash.pieces import Piece
from tests.flash.imagery import genuine_esp32, pico_image
from tests.flash.upstream import DATA, PICO, Upstream, serving

ESP32 = boards.load("ESP32_GENERIC")
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with serving() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """The server as new, and no proxy in between."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    server.data, server.asked = DATA, []
    return server


@pytest.fixture
def say() -> Callable[[str], None]:
    return lambda text: None


def left(cache: Path) -> list[str]:
    return sorted(path.name.partition("-")[2] for path in cache.rglob("*") if path.is_file())


def test_an_image_is_fetched_once_and_its_hash_is_told_and_kept(
    upstream: Upstream, tmp_path: Path
) -> None:
    told: list[str] = []
    first = images.obtain(upstream.board(), None, None, tmp_path, told.append)
    again = images.obtain(upstream.board(), None, None, tmp_path, told.append)
    assert (
        first == again == images.Image("RPI_PICO_W", DATA, SHA256, upstream.url + "/pico-v1.uf2")
    )
    assert upstream.asked == ["pico-v1.uf2"]
    assert [line for line in told if SHA256 in line and "recorded" in line] == told[1:]
    assert left(tmp_path) == ["pico-v1.uf2", "pico-v1.uf2.sha256"]


def test_sha256sum_checks_the_hash_that_was_kept(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None], program: Callable[[str], str]
) -> None:
    images.obtain(upstream.board(), None, None, tmp_path, say)
    (kept,) = tmp_path.rglob("*.sha256")
    check = [program("sha256sum"), "--check", "--strict", kept.name]
    subprocess.run(check, cwd=kept.parent, check=True, capture_output=True)


def test_a_kept_image_needs_no_network(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None]
) -> None:
    board = upstream.board()
    images.obtain(board, None, None, tmp_path, say)
    upstream.data = b"gone"
    assert images.obtain(board, None, None, tmp_path, say).sha256 == SHA256


def test_upstreams_other_file_is_refused_for_ever(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None]
) -> None:
    images.obtain(upstream.board(), None, None, tmp_path, say)
    (kept,) = tmp_path.rglob("*.uf2")
    kept.unlink()
    upstream.data = pico_image(PICO, 6000).data
    for _ in range(2):
        with pytest.raises(UsageError, match=f"another file.*expected {SHA256}"):
            images.obtain(upstream.board(), None, None, tmp_path, say)
    assert left(tmp_path) == ["pico-v1.uf2.sha256"]


def test_a_hash_that_the_user_names_wins_over_the_one_that_was_kept(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None]
) -> None:
    images.obtain(upstream.board(), None, None, tmp_path, say)
    upstream.data = pico_image(PICO, 6000).data
    wanted = hashlib.sha256(upstream.data).hexdigest()
    assert images.obtain(upstream.board(), None, wanted.upper(), tmp_path, say).sha256 == wanted
    assert images.obtain(upstream.board(), None, None, tmp_path, say).sha256 == wanted


def test_board_json_s_hash_is_compared_before_anything_is_kept(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None]
) -> None:
    with pytest.raises(UsageError, match=f"SHA-256 {SHA256}, expected 0000"):
        images.obtain(upstream.board(sha256="0" * 64), None, None, tmp_path, say)
    assert left(tmp_path) == []
    assert images.obtain(upstream.board(sha256=SHA256), None, None, tmp_path, say).data == DATA


def test_a_damaged_copy_is_fetched_again_and_compared(upstream: Upstream, tmp_path: Path) -> None:
    told: list[str] = []
    images.obtain(upstream.board(), None, None, tmp_path, told.append)
    (kept,) = tmp_path.rglob("*.uf2")
    kept.write_bytes(DATA[:-512])
    assert images.obtain(upstream.board(), None, None, tmp_path, told.append).data == DATA
    assert kept.read_bytes() == DATA
    assert "the copy kept of it is another" in told[2]


@pytest.mark.parametrize(
    ("path", "complaint"),
    [("missing.uf2", "it answered 404"), ("cut.uf2", "broke off mid-way")],
)
def test_what_cannot_be_fetched_is_told_and_leaves_nothing(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None], path: str, complaint: str
) -> None:
    with pytest.raises(ToolError, match=f"cannot fetch .*{complaint}.*--image"):
        images.obtain(upstream.board(path), None, None, tmp_path, say)
    assert left(tmp_path) == []


def test_a_server_that_says_nothing_more_is_given_up(
    upstream: Upstream,
    tmp_path: Path,
    say: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "_SILENCE_S", 0.2)
    with pytest.raises(ToolError, match="takes too long"):
        images.obtain(upstream.board("hangs.uf2"), None, None, tmp_path, say)
    assert left(tmp_path) == []


def test_a_body_longer_than_any_image_is_not_read_to_its_end(
    upstream: Upstream,
    tmp_path: Path,
    say: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "LONGEST", 4096)
    with pytest.raises(ToolError, match="longer than any image"):
        images.obtain(upstream.board(), None, None, tmp_path, say)
    assert left(tmp_path) == []


def test_nobody_at_the_address_is_told(tmp_path: Path, say: Callable[[str], None]) -> None:
    board = replace(PICO, firmware=Firmware("http://127.0.0.1:1/pico.uf2", None))
    with pytest.raises(ToolError, match="is this machine online"):
        images.obtain(board, None, None, tmp_path, say)


def test_a_server_with_another_certificate_is_told(
    tmp_path: Path, say: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def answer(server: socket.socket) -> None:
        with suppress(OSError), server.accept()[0] as one:
            context.wrap_socket(one, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/pico.uf2"
        with pytest.raises(ToolError, match="certificate is not trusted"):
            images.obtain(replace(PICO, firmware=Firmware(url, None)), None, None, tmp_path, say)
        thread.join(5)


def test_a_page_instead_of_an_image_is_not_kept(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None]
) -> None:
    upstream.data = b"<html>Please log in to the network of this hotel</html>"
    with pytest.raises(UsageError, match="not UF2"):
        images.obtain(upstream.board(), None, None, tmp_path, say)
    assert left(tmp_path) == []


def test_a_redirect_is_followed(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None]
) -> None:
    board = upstream.board("elsewhere.uf2")
    assert images.obtain(board, None, None, tmp_path, say).data == DATA


def test_two_addresses_with_one_name_are_kept_apart(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None]
) -> None:
    images.obtain(upstream.board("a/pico.uf2"), None, None, tmp_path, say)
    upstream.data = pico_image(PICO, 6000).data
    other = images.obtain(upstream.board("b/pico.uf2"), None, None, tmp_path, say)
    assert other.data == upstream.data


def test_a_cache_that_cannot_be_written_is_told(
    upstream: Upstream, tmp_path: Path, say: Callable[[str], None]
) -> None:
    (tmp_path / "images").write_text("a file where the folder should be")
    with pytest.raises(ToolError, match="cannot keep the image"):
        images.obtain(upstream.board(), None, None, tmp_path, say)


def test_an_interruption_while_the_image_is_kept_leaves_nothing_half(
    upstream: Upstream,
    tmp_path: Path,
    say: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        images.obtain(upstream.board(), None, None, tmp_path, say)
    assert left(tmp_path) == []


_CHILD = """\
import sys
from dataclasses import replace
from pathlib import Path
from firstlight import boards
from firstlight.boards import Firmware
from firstlight.flash import images
board = replace(boards.load("RPI_PICO_W"), firmware=Firmware(sys.argv[1], None))
images.obtain(board, None, None, Path(sys.argv[2]), lambda text: print(text, flush=True))
"""


def test_ctrl_c_while_it_is_fetched_leaves_nothing_half(
    upstream: Upstream, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _CHILD, upstream.url + "/hangs.uf2", str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"fetching")
        child.send_signal(signal.SIGINT)
        assert child.wait(20) != 0
    assert left(tmp_path) == []


def test_a_file_of_the_users_is_taken_and_compared(
    tmp_path: Path, say: Callable[[str], None]
) -> None:
    (path := tmp_path / "mine.uf2").write_bytes(DATA)
    found = images.obtain(PICO, path, SHA256, tmp_path, say)
    assert (found.data, found.sha256, found.source) == (DATA, SHA256, str(path))
    with pytest.raises(UsageError, match="not the image that --sha256 names"):
        images.obtain(PICO, path, "0" * 64, tmp_path, say)
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        images.obtain(PICO, path, "1234", tmp_path, say)
    with pytest.raises(UsageError, match="cannot read"):
        images.obtain(PICO, tmp_path / "none.uf2", None, tmp_path, say)


def test_a_virtual_boards_image_is_nobodys_to_fetch(
    tmp_path: Path, say: Callable[[str], None]
) -> None:
    with pytest.raises(UsageError, match="name one by --image"):
        images.obtain(boards.load("VIRTUAL"), None, None, tmp_path, say)


def test_a_genuine_image_is_taken_for_its_chip_alone(say: Callable[[str], None]) -> None:
    path = genuine_esp32()
    found = images.obtain(ESP32, path, None, None, say)
    assert images.version(ESP32, found.data) == (1, 16, 0)
    for name, complaint in {
        "ESP32_GENERIC_S2": "is for an esp32, and a ESP32_GENERIC_S2 has an esp32s2",
        "ESP32_GENERIC_C6": "is for an esp32, and",
        "RPI_PICO_W": "not UF2",
        "VIRTUAL": "takes a littlefs",
    }.items():
        with pytest.raises(UsageError, match=complaint):
            images.obtain(boards.load(name), path, None, None, say)


def test_a_pages_seam_does_not_hide_the_version() -> None:
    banner = b"x" * 250 + b"MicroPython v1.28.0-preview.7 on 2026-04-06; Raspberry Pi Pico W"
    assert PICO.uf2 is not None
    assert images.version(PICO, DATA) is None
    whole = uf2.build([Piece(0, banner, "MicroPython")], PICO.uf2)
    assert images.version(PICO, whole) == (1, 28, 0)


@given(st.binary(max_size=600), st.sampled_from(boards.names()))
def test_any_bytes_are_refused_as_an_image(data: bytes, name: str) -> None:
    with pytest.raises(UsageError):
        images.check(boards.load(name), b"\xe9" + data)
