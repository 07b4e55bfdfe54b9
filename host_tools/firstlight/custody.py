"""Where a secret comes from, and into which file one may go. Never from or to a command line.

A source is a short text that names a place: file:PATH, env:NAME, keyring:SERVICE/USER, or - for
standard input. What it holds is never shown, not even in an error about it; nor is the name of a
place that may be the secret itself, put there by mistake.
"""

import getpass
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from .errors import ToolError, UsageError
from .keys import shown

SOURCES = "file:PATH, env:NAME, keyring:SERVICE/USER, or - for standard input"
_MAX_BYTES = 4096
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]{0,31}")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Custody:
    """Reads secrets. env: the environment; stdin: read once, its lines in the order asked.

    A terminal as stdin is asked with the echo off; None: it is closed. forget: called with the
    name of each variable that a secret was in, so that child processes do not inherit it.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        stdin: TextIO | None,
        forget: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._env = env
        self._stdin = stdin
        self._forget = forget

    def read(self, source: str, what: str) -> str:
        """Return the secret that source names, without surrounding white space.

        what names it in errors, as "the group key". Raises UsageError.
        """
        kind, _, place = source.partition(":")
        readers: dict[str, Callable[[str, str], str]] = {
            "file": self._file,
            "env": self._variable,
            "keyring": self._keyring,
        }
        if source == "-":
            secret = self._line(what)
        elif kind in readers and place:
            secret = readers[kind](place, what)
        else:
            raise UsageError(
                f"{what} must be named by where it is kept ({SOURCES}); a key itself does not "
                "belong on a command line, where other users and the shell's history see it"
            )
        if not secret.strip():
            raise UsageError(f"{what} is empty")
        if any("\ud800" <= character <= "\udfff" for character in secret):
            raise UsageError(f"{what} has bytes that are not text (UTF-8)")
        return secret.strip()

    def setting(self, name: str) -> str | None:
        """Return a variable of the environment that is no secret; None: not set, or empty."""
        return self._env.get(name) or None

    def _line(self, what: str) -> str:
        if self._stdin is None:
            raise UsageError(f"{what} should come from standard input, but that is closed")
        try:
            if self._stdin.isatty():
                return getpass.getpass(f"{what}: ")
            return self._stdin.readline(_MAX_BYTES)
        except EOFError:
            return ""
        except OSError as error:
            raise UsageError(f"standard input cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{what} has bytes that are not text (UTF-8)") from None

    def _file(self, place: str, what: str) -> str:
        try:
            path = Path(place).expanduser()
        except RuntimeError:
            raise UsageError(f"{what} is in the home of a user that is not here") from None
        try:
            with open(path, "rb", opener=_open_at_once) as file:
                _check_file(os.fstat(file.fileno()), path, what)
                raw = file.read(_MAX_BYTES + 1)
            if len(raw) > _MAX_BYTES:
                raise UsageError(f"{path} is too long to be {what}")
            return raw.decode("ascii")
        except OSError as error:
            named = shown(str(path), "the file that was named")
            raise UsageError(f"{what} cannot be read from {named}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{path} holds something else than {what}") from None

    def _variable(self, name: str, what: str) -> str:
        if name not in self._env:
            named = "the variable that was named"
            if _VARIABLE.fullmatch(name):
                named = shown(name, named)
            raise UsageError(f"{what} should be in the environment, but {named} is not set")
        secret = self._env[name]
        self._forget(name)
        return secret

    def _keyring(self, place: str, what: str) -> str:
        import keyring  # noqa: PLC0415  looks for a keyring when it is imported
        import keyring.errors  # noqa: PLC0415

        service, _, user = place.partition("/")
        try:
            secret = keyring.get_password(service, user)
        except keyring.errors.KeyringError as error:
            raise UsageError(f"the keyring does not open: {type(error).__name__}") from None
        if secret is None:
            named = shown(place, "SERVICE/USER")
            raise UsageError(
                f"the keyring has no {what} under {named}; "
                f"put it there with: keyring set {named.replace('/', ' ', 1)}"
            )
        return secret


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or none. Raises ToolError.

    Never writes over another.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ToolError(f"{path} is there already; move it away, or name another file") from None
    except OSError as error:
        raise ToolError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ToolError(f"{path} cannot be written: {error.strerror}") from None
        raise


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for a pipe's other end."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _check_file(found: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is not a file, so {what} is not read from it")
    check_private(found, path, what)


def check_private(found: os.stat_result, path: Path, what: str) -> None:
    """Raise UsageError for a file that others than its owner may use. what: it holds."""
    if found.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(found.st_mode) & _OTHERS:
        raise UsageError(
            f"{path} holds {what}, but others than its owner may read it; "
            f"close it first: chmod 600 {path}"
        )
