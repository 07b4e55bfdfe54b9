"""What goes onto a board: complete, pinned, and compiled only where the board can load it."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from firstlight import roots, stage, umqtt
from firstlight.errors import ToolError, UsageError
from firstlight.layout import firmware_folder

AZURE = roots.azure_roots()


def test_every_firmware_file_is_staged_once_and_main_comes_last() -> None:
    firmware = firmware_folder()
    modules = {p.relative_to(firmware).as_posix() for p in firmware.rglob("*.py")}
    modules = {name for name in modules if name.count("/") == 0 or name.startswith("aziot/")}
    wanted = {"/" + name for name in modules} | {"/umqtt/simple.py"}
    wanted |= {f"/roots/{name}.der" for name in AZURE}
    for mpy in (False, True):
        paths = [file.path for file in stage.plan(mpy, AZURE)]
        assert sorted(path.replace(".mpy", ".py") for path in paths) == sorted(wanted)
        assert paths[-1] == "/main.py"


def test_what_people_read_is_source_and_the_rest_is_compiled() -> None:
    files = {file.path: file for file in stage.plan(True, AZURE)}
    sources = {path for path in files if path.endswith(".py")}
    assert sources == {"/main.py", "/app.py"}
    assert all(f.data[:2] == b"M\x06" for p, f in files.items() if p.endswith(".mpy"))
    assert files["/aziot/sas.mpy"].rival == "/aziot/sas.py"
    assert [path for path, file in files.items() if file.keep] == ["/app.py"]


def test_a_board_of_another_bytecode_gets_source() -> None:
    assert stage.loads_mpy(2822)
    assert not stage.loads_mpy(0x0B05)
    assert not stage.loads_mpy(0)
    assert all(not file.path.endswith(".mpy") for file in stage.plan(False, AZURE))


def test_source_that_does_not_compile_is_told_by_its_name() -> None:
    with pytest.raises(ToolError, match=r"aziot/x\.py"):
        stage.compiled(b"def f(:\n", "aziot/x.py")


def test_umqtt_is_kept_and_a_spoiled_copy_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = umqtt.simple_source(tmp_path)
    assert b"class MQTTClient" in data
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "no-index").as_uri())
    assert umqtt.simple_source(tmp_path) == data
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(data + b"#")
    with pytest.raises(ToolError):
        umqtt.simple_source(tmp_path)


def test_another_archive_is_refused() -> None:
    with pytest.raises(ToolError, match="not the release"):
        umqtt.unpack(b"anything")


def test_without_an_index_there_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "no-index").as_uri())
    with pytest.raises(ToolError, match="online"):
        umqtt.simple_source(tmp_path)


def test_azures_roots_are_the_ones_that_the_protocol_page_names() -> None:
    assert {hashlib.sha256(der).hexdigest() for der in AZURE.values()} == set(roots.AZURE.values())
    assert sorted(len(der) for der in AZURE.values()) == [914, 1452]


def test_a_users_root_must_be_a_ca(tmp_path: Path) -> None:
    ca = trustme.CA()
    good, leaf, key, torn = (tmp_path / name for name in ("ca", "leaf", "key", "torn"))
    ca.cert_pem.write_to_path(good)
    issued = ca.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(leaf)
    issued.private_key_and_cert_chain_pem.write_to_path(key)
    torn.write_bytes(good.read_bytes()[:300] + b"\n-----END CERTIFICATE-----\n")
    assert [der[:1] for der in roots.roots_from(good).values()] == [b"\x30"]
    for wrong in (leaf, key, torn, tmp_path / "none", tmp_path):
        with pytest.raises(UsageError):
            roots.roots_from(wrong)


def test_staging_runs_from_any_folder(tmp_path: Path) -> None:
    code = "from firstlight import stage; print(len(stage.plan(True, {})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60, check=True
    )
    assert int(done.stdout) == len(stage.plan(True, {}))
