"""A label's file: written beside and renamed, for anybody to read, and left if it is right."""

from pathlib import Path

from ..errors import ToolError
from ..wholefile import write_whole


def put(folder: Path, name: str, data: bytes) -> Path:
    """Have data in the file name of folder, which is made; return its path. Raises ToolError.

    Readers see the old content or the new one, never a part. Several may write it at once.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _holds(path, data):
            write_whole(path, data, 0o644)
    except OSError as error:
        raise ToolError(f"the label {path} cannot be written: {error.strerror}") from None
    return path


def _holds(path: Path, data: bytes) -> bool:
    if not path.is_file() or path.stat().st_size != len(data):
        return False
    return path.read_bytes() == data
