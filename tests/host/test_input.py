"""Wrong input ends in one sentence and an exit code: no traceback, no wait, no secret shown."""

import os
import pty
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from firstlight import keys
from firstlight.custody import Custody, write_private
from firstlight.errors import UsageError
from firstlight.roots import roots_from

G = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]
DERIVE = ["keys", "derive", "my-device-01", "--group-key"]
DERIVED = "i0eNaxR9P2qCHaK3RkHpn3erozYVBcdCwAsiEzQHCM4="


def refused(
    code: int, text: str, *words: str | bytes, shell: str = "", stdin: bytes = b"", **env: bytes
) -> None:
    """Assert that a call ends with code and one sentence with text. shell: a redirection."""
    command: list[str | bytes] = [*FIRSTLIGHT, *words]
    if shell:
        command = ["sh", "-c", f'"$@" {shell}', "sh", *command]
    whole = {**os.environb, **{name.encode(): value for name, value in env.items()}}
    done = subprocess.run(
        command, input=stdin, env=whole, capture_output=True, timeout=30, check=False
    )
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert said.startswith("firstlight: "), said
    assert said.count("\n") == 1, said
    assert text in said
    assert G not in said
    assert done.stdout == b""


@pytest.fixture
def source(tmp_path: Path) -> str:
    write_private(tmp_path / "group.key", G)
    return f"file:{tmp_path / 'group.key'}"


def test_a_key_that_is_typed_is_not_echoed() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(FIRSTLIGHT[0], [*FIRSTLIGHT, *DERIVE, "-"])
    seen, typed = b"", False
    while select.select([terminal], [], [], 20)[0]:
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # how Linux tells the end
            break
        if b"the group key: " in seen and not typed:
            typed = os.write(terminal, G.encode() + b"\n") > 0
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert DERIVED.encode() in seen
    assert G.encode() not in seen


@pytest.mark.parametrize("kind", ["env", "file", "keyring"])
@pytest.mark.parametrize("key", [G, keys.derive(G, "a"), "c2VjcmV0LXNlY3JldC1zZWNy"])
def test_a_key_in_place_of_a_name_is_not_shown(kind: str, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        Custody({}, None).read(f"{kind}:{key}", "the key")
    assert key[:12] not in str(caught.value)


def test_a_name_in_its_place_is_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FIRSTLIGHT_SECONDARY_GROUP_KEY is not set"):
        Custody({}, None).read("env:FIRSTLIGHT_SECONDARY_GROUP_KEY", "the key")
    with pytest.raises(UsageError, match="/home/user/keys/groupkey: No such file"):
        Custody({}, None).read("file:/home/user/keys/groupkey", "the key")


def test_closed_standard_input_is_told(source: str) -> None:
    refused(2, "closed", *DERIVE, "-", shell="<&-")
    refused(2, "closed", "keys", "derive", "--ids", "-", "--group-key", source, shell="<&-")


def test_bytes_that_are_not_text_are_told(source: str) -> None:
    for locale in (b"C.UTF-8", b"C"):
        refused(2, "the group key", *DERIVE, "-", stdin=b"\xff\xfe" + G.encode(), LC_ALL=locale)
        refused(2, "the group key", *DERIVE, "env:K", K=b"\xff" + G.encode(), LC_ALL=locale)
    sas = ["keys", "sas", "--key", source]
    refused(2, "the resource", *sas, b"hub/\xff")
    refused(2, "the policy", *sas, "hub/a", "--policy", b"\xff")
    refused(2, "is refused", "keys", "derive", b"a\xff", "--group-key", source)
    refused(2, "something else", "keys", "derive", "--ids", "/bin/ls", "--group-key", source)


def test_a_home_that_is_not_there_is_told() -> None:
    refused(2, "the home of a user", *DERIVE, "file:~nobodyx/aa")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told(source: str) -> None:
    refused(1, "No space left", *DERIVE, source, shell=">/dev/full")


def test_an_interrupt_is_told_even_while_modules_load() -> None:
    code = (
        "import sys, os, signal\nfrom firstlight.cli import main\n"
        "class Finder:\n    def find_spec(self, name, *_):\n"
        "        if name == 'firstlight.cli.demo': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, b"firstlight: interrupted")


def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UsageError, match="is not a file"):
        Custody({}, None).read(f"file:{tmp_path / 'pipe'}", "the key")
    for endless in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UsageError, match="is not a file"):
            roots_from(endless)


def test_ids_that_are_none_are_refused(source: str, tmp_path: Path) -> None:
    ids = ["keys", "derive", "--ids"]
    both = b"my-device-01\n" + G.encode()
    refused(2, "cannot give both", *ids, "-", "--group-key", "-", stdin=both)
    second = ["--secondary-group-key", "-"]
    refused(2, "cannot give both", *ids, "-", "--group-key", source, *second, stdin=both)
    refused(2, "one to", *ids, "-", "--group-key", source, stdin=b"# none\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_ended_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    demo = subprocess.Popen([*FIRSTLIGHT, "demo"], env=env, stdout=subprocess.PIPE)
    assert demo.stdout is not None
    with demo.stdout:
        assert any(b"a bare board answers" in line for line in demo.stdout)
        assert list(tmp_path.glob("firstlight-*"))
        demo.send_signal(number)
        demo.stdout.read()
    assert demo.wait(20) == 128 + number
    assert not list(tmp_path.glob("firstlight-*"))


def test_a_second_ctrl_c_does_not_end_the_clean_up_of_a_demo(tmp_path: Path) -> None:
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    demo = subprocess.Popen(
        [*FIRSTLIGHT, "demo", "--attestation", "x509"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert demo.stdout is not None
    with demo.stdout:
        assert any(b"signed a certificate for" in line for line in demo.stdout)
        assert list(tmp_path.glob("firstlight-*"))
        while demo.poll() is None:  # whenever it comes
            demo.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                demo.wait(0.01)
    assert demo.returncode in (130, -signal.SIGINT)  # the latter: once everything was done
    assert not list(tmp_path.glob("firstlight-*"))
