"""A local Azure for a module's tests of `firstlight enroll`, and what they do with it."""

import json
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firstlight import azure
from firstlight.attesting import common_name
from firstlight.cli.enroll import enroll
from firstlight.custody import write_private
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.certificates import Issued
from tests.interop.places import PATIENCE_S, register_by_https

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAzure]:
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        retry_after_s=0,
        polls_before_assigned=0,
        polls_per_10_s=None,
        folder=tmp_path_factory.mktemp("azure"),
    )
    with running_azure(settings) as running:
        yield running


@pytest.fixture
def service(local: RunningAzure) -> azure.Service:
    return azure.Service(azure.parse_connection(local.connection_string), local.root_pem)


@pytest.fixture
def call(local: RunningAzure, tmp_path: Path) -> Call:
    """`firstlight enroll ...` at the local Azure, in this process."""
    source = kept(tmp_path / "dps.txt", local.connection_string)

    def run(*words: str | Path) -> Result:
        at = ["--connection", source, "--root", str(local.root_pem)]
        return CliRunner().invoke(enroll, [*map(str, words), *at])

    return run


def kept(path: Path, secret: str) -> str:
    """Keep a secret in a file; the source that names it."""
    write_private(path, secret)
    return f"file:{path}"


def told(result: Result) -> str:
    """What a call that went well printed."""
    assert result.exception is None, result.exception
    assert isinstance(result.output, str)
    return result.output


def registers(local: RunningAzure, name: str, key_b64: str) -> str:
    """The status that a device gets; an HTTP status for a refusal."""
    try:
        return str(register_by_https(local, name, key_b64)["status"])
    except urllib.error.HTTPError as error:
        return str(error.code)


def registers_by(local: RunningAzure, issued: Issued) -> str:
    """The status that a device gets by its certificate, over HTTPS; HTTP's for a refusal."""
    tls = ssl.create_default_context(cafile=str(local.root_pem))
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as both:
        both.write(issued.chain_pem + issued.key_pem)
        both.flush()
        tls.load_cert_chain(both.name)
    name = common_name(issued.certificate)
    place = f"{local.id_scope}/registrations/{name}"
    at = f"https://{local.host}:{local.https_port}/{place}"

    def ask(method: str, path: str, body: bytes | None) -> dict[str, str]:
        wanted = urllib.request.Request(
            f"{at}/{path}?api-version=2021-06-01",
            body,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(wanted, timeout=PATIENCE_S, context=tls) as answer:
            found: dict[str, str] = json.loads(answer.read())
            return found

    try:
        found = ask("PUT", "register", json.dumps({"registrationId": name}).encode())
        for _ in range(9):
            if found["status"] != "assigning":
                break
            found = ask("GET", f"operations/{found['operationId']}", None)
        return found["status"]
    except urllib.error.HTTPError as error:
        return str(error.code)
