"""os as on a board: without what would reach the PC (environment, shell, its file system)."""

from sys import implementation, version

from uos import *  # noqa: F403

del getenv, putenv, unsetenv, system, VfsPosix  # noqa: F821


def sync() -> None:
    """Return when all is on the flash: every write to the image already is."""


def uname() -> tuple:
    release = ".".join(str(part) for part in implementation.version[:3])
    return (
        "virtual",
        "virtual",
        release,
        version,
        "Virtual board with " + implementation._machine,
    )
