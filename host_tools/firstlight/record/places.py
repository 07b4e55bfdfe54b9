"""Where a record is kept: a file of SQLite's, or a database of PostgreSQL's, as a user names it.

A password is never taken from a command line, and never shown: what is said of a place in a
message has none.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from ..custody import SOURCES
from ..errors import UsageError

DEFAULT = "firstlight-line.db"
_SECRETS = ("password", "sslpassword")
_KINDS = "a file, or postgresql://USER@HOST/DATABASE"
# What is meant for a server, and would be taken for a file's name: "host=db password=x", and
# "line:x@db/line", whatever stands before it.
_NO_PATH = re.compile("password *=|:[^/\\\\]*@|^postgres(ql)?:", re.IGNORECASE)
_FROM_ELSEWHERE = (
    "keep the password in ~/.pgpass or in PGPASSWORD, or the whole URL in a place that is named "
    f"instead ({SOURCES})"
)


@dataclass(frozen=True)
class Place:
    """shown: what messages call it. path: of a file; url: of a server, else None.

    hidden: what libpq needs besides the URL and nobody may see.
    """

    shown: str
    path: Path | None
    url: sa.URL | None
    hidden: dict[str, str] = field(default_factory=dict, repr=False)

    def secrets(self) -> list[str]:
        """Return what must not be shown of it."""
        password = self.url.password if self.url is not None else None
        return [*([str(password)] if password else []), *self.hidden.values()]


def from_argument(text: str, secret: Callable[[str, str], str]) -> str:
    """Return the URL or path that a command line means; raise UsageError if it has a password.

    text may also name where the URL is kept, as custody.SOURCES says; secret reads it there
    (Custody.read).
    """
    if text == "-" or text.partition(":")[0] in ("file", "env", "keyring"):
        return secret(text, "the record's URL")
    place = parse(text)
    if place.secrets():
        raise UsageError(
            "the record's URL has a password, which others see on a command line; "
            + _FROM_ELSEWHERE
        )
    return text


def parse(where: str | Path) -> Place:
    """Return the place that a path or a URL names. Raises UsageError."""
    if isinstance(where, Path):
        return _file(where)
    if "://" not in where:
        if _NO_PATH.search(where):
            raise UsageError(f"the record's place cannot be read; it must be {_KINDS}")
        return _file(Path(where))
    try:
        url = sa.make_url(where)
        backend, port = url.get_backend_name(), url.port
    except (sa.exc.ArgumentError, ValueError):
        raise UsageError(f"the record's URL cannot be read; it must be {_KINDS}") from None
    if backend == "sqlite":
        return _sqlite(url)
    if backend not in ("postgresql", "postgres"):
        raise UsageError(f"the record cannot be kept in {backend}; it must be {_KINDS}")
    if "@" in (url.host or ""):
        raise UsageError("the record's URL has a second @: one in a password is written %40")
    at = f":{port}" if port else ""
    user = f"{url.username}@" if url.username else ""
    shown = f"postgresql://{user}{url.host or ''}{at}/{url.database or ''}"
    hidden = {name: str(url.query[name]) for name in _SECRETS if name in url.query}
    url = url.set(drivername="postgresql+psycopg").difference_update_query(_SECRETS)
    return Place(shown, None, url, hidden)


def _sqlite(url: sa.URL) -> Place:
    if url.database in (None, "", ":memory:") or url.host or url.query:
        raise UsageError("the record must be a file that stays: sqlite:///PATH, or the path alone")
    return _file(Path(str(url.database)))


def _file(path: Path) -> Place:
    try:
        whole = Path(os.path.abspath(path.expanduser()))
        os.stat(whole)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"the record cannot be in {path}: {error.strerror}") from None
    except (RuntimeError, ValueError):
        raise UsageError("the record's path is none that this system can have") from None
    return Place(str(path).encode(errors="replace").decode(), whole, None)
