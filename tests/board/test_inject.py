"""Injection onto a virtual board: proven, repeatable, and harmless when it fails."""

import os
import signal
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from firstlight import inject, roots, stage, virtual
from firstlight.errors import BoardError, ProofError, UsageError
from firstlight.repl import Implementation, Repl

FILES = stage.plan(True, roots.azure_roots())
NAMES = [file.path for file in FILES]


def document(key: bytes = b"k" * 32, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "id_scope": "0ne00111111",
        "registration_id": "virtual-a1b2c3d4e5f6",
        "symmetric_key": {"primary": b64encode(key).decode()},
        **more,
    }


def injected(
    board: virtual.VirtualBoard,
    key: bytes = b"k" * 32,
    say: Callable[[str], None] = lambda _: None,
    timeout_s: float = 5,
) -> inject.Injected:
    with Repl(board.port or "", timeout_s=timeout_s) as repl:
        return inject.inject(repl, document(key), FILES, say)


def stored_key(board: virtual.VirtualBoard) -> str:
    code = "import json\nprint(json.load(open('/identity.json'))['symmetric_key']['primary'])"
    with Repl(board.port or "") as repl:
        return repl.exec(code).decode().strip()


def test_a_bare_board_gets_everything_and_proves_its_key(powered: virtual.VirtualBoard) -> None:
    lines: list[str] = []
    done = injected(powered, say=lines.append)
    assert done == inject.Injected("virtual-a1b2c3d4e5f6", (*NAMES, "/identity.json"))
    with Repl(powered.port or "") as repl:
        hashes = repl.hashes(NAMES)
        assert all(hashes[file.path] == sha256(file.data).hexdigest() for file in FILES)
    text = "\n".join(lines)
    assert "proof" in text
    assert b64encode(b"k" * 32).decode() not in text + powered.console.decode()


def test_a_second_run_writes_nothing(powered: virtual.VirtualBoard) -> None:
    injected(powered)
    assert injected(powered).written == ()


def test_the_firmware_starts_with_its_identity(powered: virtual.VirtualBoard) -> None:
    injected(powered)
    powered.power_off()
    with powered:
        powered.read_console_until("virtual-a1b2c3d4e5f6", 10)


@pytest.mark.parametrize("at", ["/aziot/dps.mpy", "/main.py", "proof"])
def test_a_run_cut_off_at_any_file_completes_when_repeated(
    powered: virtual.VirtualBoard, at: str
) -> None:
    with Repl(powered.port or "") as repl:
        repl.write_file("/identity.json", inject.checked(document(b"o" * 32)))

    def cut(line: str) -> None:
        if line.startswith(at):
            os.kill(powered.interpreter_pid, signal.SIGKILL)

    with pytest.raises((BoardError, ProofError)):
        injected(powered, say=cut, timeout_s=1)
    assert stored_key(powered) == b64encode(b"o" * 32).decode()
    assert injected(powered).registration_id == "virtual-a1b2c3d4e5f6"
    assert stored_key(powered) == b64encode(b"k" * 32).decode()


def test_a_power_cut_while_the_identity_is_written_keeps_the_old_one(
    powered: virtual.VirtualBoard,
) -> None:
    injected(powered, b"o" * 32)
    with Repl(powered.port or "") as repl:
        repl.exec("f = open('/identity.json.new', 'wb')\nn = f.write(b'{\"version\": 1, \"sym')")
        powered.power_off()
    with powered:
        assert stored_key(powered) == b64encode(b"o" * 32).decode()
        injected(powered)
        with Repl(powered.port or "") as repl:
            assert "identity.json.new" not in repl.list_folder("/")


def test_a_board_that_holds_another_key_does_not_pass(repl: Repl) -> None:
    inject.inject(repl, document(), FILES, lambda _: None)
    with pytest.raises(ProofError, match="does not hold the key"):
        inject.prove(repl, b64encode(b"x" * 32).decode())
    repl.remove("/identity.json")
    with pytest.raises(ProofError, match="could not sign"):
        inject.prove(repl, b64encode(b"k" * 32).decode())


def test_a_board_that_answers_without_signing_does_not_pass(repl: Repl) -> None:
    inject.inject(repl, document(), FILES, lambda _: None)
    for answer in ("b'x' * 32", "key + bytes(32 - len(key))"):
        fake = f"def hmac_sha256(key, message): return {answer}\n"
        repl.write_file("/aziot/sas.py", fake.encode())
        with pytest.raises(ProofError):
            inject.prove(repl, b64encode(b"k" * 32).decode())


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"id_scope": ""},
        {"registration_id": "UPPER"},
        {"symmetric_key": {"primary": "c2hvcnQ="}},
        {"symmetric_key": {}},
        {"group_key": "x"},
    ],
)
def test_a_wrong_identity_is_refused_before_anything_is_written(
    repl: Repl, wrong: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="identity is refused"):
        inject.inject(repl, document(**wrong), FILES, lambda _: None)
    assert repl.list_folder("/") == []


def test_a_board_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with (
        virtual.make(tmp_path, flash_bytes=48 * 1024) as board,
        Repl(board.port or "") as repl,
    ):
        repl.write_file("/identity.json", b"earlier")
        with pytest.raises(BoardError, match="bytes free"):
            inject.inject(repl, document(), FILES, lambda _: None)
        assert repl.list_folder("/") == ["identity.json"]


def test_a_foreign_or_old_board_is_refused() -> None:
    inject.check_board(Implementation("micropython", (1, 22, 0), 0, "", "esp32"))
    for name, version in [("circuitpython", (9, 0, 0)), ("micropython", (1, 21, 9))]:
        with pytest.raises(BoardError, match="this firmware needs"):
            inject.check_board(Implementation(name, version, 0, "", "esp32"))


def test_the_users_app_is_kept(repl: Repl) -> None:
    repl.write_file("/app.py", b"mine = 1\n")
    done = inject.inject(repl, document(), FILES, lambda _: None)
    assert "/app.py" not in done.written
    assert repl.exec("print(open('/app.py').read())").strip() == b"mine = 1"


def test_older_sources_and_roots_do_not_shadow_what_was_staged(repl: Repl) -> None:
    repl.write_file("/aziot/sas.py", b"raise SystemError\n")
    repl.write_file("/roots/other.der", b"not trusted any more")
    inject.inject(repl, document(), FILES, lambda _: None)
    assert "sas.py" not in repl.list_folder("/aziot")
    assert sorted(repl.list_folder("/roots")) == sorted(f"{name}.der" for name in roots.AZURE)


def test_every_injection_forgets_roots_that_came_from_a_hub(repl: Repl) -> None:
    """Whatever it writes: the run before may have been cut off after it had written all."""
    inject.inject(repl, document(), FILES, lambda _: None)
    repl.exec("import board\nboard.save('roots', b'1')")
    assert inject.inject(repl, document(), FILES, lambda _: None).written == ()
    assert repl.exec("print(board.load('roots'))").strip() == b"None"


def test_an_older_board_module_in_memory_is_not_asked(repl: Repl) -> None:
    repl.exec("import sys\nclass Older: pass\nsys.modules['board'] = Older()")
    inject.inject(repl, document(), FILES, lambda _: None)


def test_firmware_that_cannot_be_imported_leaves_the_earlier_identity(
    powered: virtual.VirtualBoard,
) -> None:
    injected(powered, b"o" * 32)
    broken = [
        replace(file, data=b"M" + bytes(9)) if file.path == "/board.mpy" else file
        for file in FILES
    ]
    with Repl(powered.port or "") as repl, pytest.raises(BoardError, match="ValueError"):
        inject.inject(repl, document(b"n" * 32), broken, lambda _: None)
    assert stored_key(powered) == b64encode(b"o" * 32).decode()
