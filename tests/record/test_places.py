"""places.py: what names a record, and that no password comes from a command line or is shown."""

from pathlib import Path

import pytest

from firstlight.custody import Custody
from firstlight.errors import UsageError
from firstlight.record import places

SECRET = "hunter-2-hunter"


def argument(text: str, **env: str) -> str:
    return places.from_argument(text, Custody(env, None).read)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://line:{SECRET}@server/line",
        f"postgresql+psycopg://line:{SECRET}@server/line",
        f"postgres://line:{SECRET}@server",
        f"postgresql://server/line?password={SECRET}",
        f"postgresql://server/line?sslpassword={SECRET}&sslmode=verify-full",
    ],
)
def test_a_password_on_the_command_line_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="PGPASSWORD") as caught:
        argument(url)
    assert SECRET not in str(caught.value)


def test_a_whole_url_is_taken_from_where_it_is_kept(tmp_path: Path) -> None:
    url = f"postgresql://line:{SECRET}@server:5433/line?sslpassword={SECRET}"
    kept = tmp_path / "url"
    kept.touch(0o600)
    kept.write_text(url)
    assert argument("env:RECORD_URL", RECORD_URL=url) == argument(f"file:{kept}") == url
    assert places.parse(url).shown == "postgresql://line@server:5433/line"
    assert SECRET not in repr(places.parse(url))
    kept.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        argument(f"file:{kept}")


@pytest.mark.parametrize("text", ["line.db", "/a/line.db", "postgresql://line@server/line", "~/x"])
def test_what_holds_no_secret_is_taken_as_it_is(text: str) -> None:
    assert argument(text) == text


def test_a_file_has_one_name_however_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = (
        "line.db",
        "./line.db",
        "~/line.db",
        f"sqlite:///{tmp_path}/line.db",
        "sqlite:///line.db",
    )
    assert {places.parse(name).path for name in names} == {tmp_path / "line.db"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "must be a file that stays"),
        ("sqlite:///:memory:", "must be a file that stays"),
        ("sqlite:///x?mode=memory", "must be a file that stays"),
        (f"mysql://line:{SECRET}@server/line", "cannot be kept in mysql"),
        (f"postgresql://line:{SECRET}@server:port/line", "cannot be read"),
        (f"://{SECRET}", "cannot be read"),
        (f"postgresql://line:p@{SECRET}@server/line", "is written %40"),
        (f"host=server user=line password={SECRET} dbname=line", "cannot be read"),
        (f"line:{SECRET}@server/line", "cannot be read"),
        (f"//line:{SECRET}@server/line", "cannot be read"),
        (f"postgresql:/{SECRET}@server/line", "cannot be read"),
        ("\0.db", "path is none"),
        ("/dev/null/line.db", "cannot be in"),
    ],
)
def test_what_is_no_place_is_told_without_its_secret(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        places.parse(url)
    assert SECRET not in str(caught.value)
