"""custody.py: secrets come from where nobody else can read them, and are never shown."""

import io
import os
from pathlib import Path

import keyring
import keyring.backend
import pytest

from firstlight.cli.identity import _network
from firstlight.custody import Custody, write_private
from firstlight.errors import ToolError, UsageError

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def custody(stdin: str = "", **env: str) -> Custody:
    return Custody(env, io.StringIO(stdin))


@pytest.fixture
def private(tmp_path: Path) -> Path:
    path = tmp_path / "group.key"
    write_private(path, SECRET + "\n")
    return path


def test_a_file_of_its_owner(private: Path) -> None:
    assert custody().read(f"file:{private}", "the key") == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601])
def test_a_file_that_others_may_read_is_refused(mode: int, private: Path) -> None:
    private.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600"):
        custody().read(f"file:{private}", "the key")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        custody().read(f"file:{tmp_path}", "the key")
    with pytest.raises(UsageError, match="No such file"):
        custody().read(f"file:{tmp_path / 'none'}", "the key")
    with pytest.raises(UsageError, match="not a file"):
        custody().read("file:/dev/null", "the key")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 5000, b" \n"])
def test_a_file_with_something_else_is_refused(content: bytes, private: Path) -> None:
    private.write_bytes(content)
    with pytest.raises(UsageError):
        custody().read(f"file:{private}", "the key")


def test_a_named_variable() -> None:
    assert custody(GROUP_KEY=SECRET).read("env:GROUP_KEY", "the key") == SECRET
    with pytest.raises(UsageError, match="OTHER is not set"):
        custody(GROUP_KEY=SECRET).read("env:OTHER", "the key")


def test_a_variable_that_was_read_is_forgotten_and_no_other() -> None:
    forgotten: list[str] = []
    reader = Custody({"GROUP_KEY": SECRET, "LIBRARY": "/p11.so"}, None, forgotten.append)
    assert reader.read("env:GROUP_KEY", "the key") == SECRET
    assert (reader.setting("LIBRARY"), reader.setting("OTHER")) == ("/p11.so", None)
    assert forgotten == ["GROUP_KEY"]
    assert reader.read("env:GROUP_KEY", "the key again") == SECRET


def test_standard_input_gives_a_line_for_each_secret() -> None:
    source = custody(f"{SECRET}\nsecond\n")
    assert [source.read("-", "a"), source.read("-", "b")] == [SECRET, "second"]
    with pytest.raises(UsageError, match="is empty"):
        source.read("-", "c")


class _Ring(keyring.backend.KeyringBackend):
    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return SECRET if (service, username) == ("firstlight", "line-1") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing is written")

    def delete_password(self, service: str, username: str) -> None:
        raise AssertionError("nothing is deleted")


def test_the_keyring() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(_Ring())  # type: ignore[no-untyped-call]
    try:
        assert custody().read("keyring:firstlight/line-1", "the key") == SECRET
        with pytest.raises(UsageError, match="keyring set firstlight line-2"):
            custody().read("keyring:firstlight/line-2", "the key")
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    "source", [SECRET, "key=" + SECRET, "file:", "", "http://x", "base64:" + SECRET]
)
def test_a_secret_in_place_of_a_source_is_refused_and_not_shown(source: str) -> None:
    with pytest.raises(UsageError, match="does not belong on a command line") as caught:
        custody().read(source, "the key")
    assert SECRET not in str(caught.value)


def test_a_private_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "new", SECRET)
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_no_half_of_a_private_file_stays(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((ToolError, KeyboardInterrupt)):
        write_private(tmp_path / "new", SECRET)
    assert list(tmp_path.iterdir()) == []


def test_a_private_file_is_never_written_over(private: Path) -> None:
    with pytest.raises(ToolError, match="there already"):
        write_private(private, "other text")
    assert private.read_text() == SECRET + "\n"


def test_a_wifi_password_in_place_of_its_source_is_not_shown() -> None:
    with pytest.raises(UsageError, match="the password of shop must be named") as caught:
        _network("shop=hunter2=and more")
    assert "hunter2" not in str(caught.value)
