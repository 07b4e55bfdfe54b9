"""Names that lead to a local Azure, and several hubs on one machine."""

import asyncio
import itertools
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from firstlight.emulator import names
from firstlight.emulator.papers import hosts_file
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import DPS_NAME, Settings
from firstlight.errors import ToolError, UsageError

PATIENCE_S = 10.0
_numbers = itertools.count(1)


def own_address() -> str:
    """A loopback address that no other test process uses at the same time."""
    pid = os.getpid()
    return f"127.{pid >> 8 & 0x3F | 0x80}.{pid & 0xFF}.{next(_numbers)}"


@pytest.fixture
def fleet() -> Iterator[RunningAzure]:
    """Two hubs with names and addresses of their own, one named after its address, one usual."""
    third = own_address()
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        hubs=("localhost", "one.azure-devices.net", "two.azure-devices.net", third),
        addresses={"one.azure-devices.net": own_address(), "two.azure-devices.net": own_address()},
    )
    with running_azure(settings) as azure:
        yield azure


def reach(host: str, port: int, root: Path, name: str | None = None) -> str:
    """Connect over TLS, its certificate checked; the address that was reached."""
    context = ssl.create_default_context(cafile=str(root))
    with (
        socket.create_connection((host, port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=name or host) as peer,
    ):
        return "%s:%d" % peer.getpeername()  # noqa: UP031  (a pair)


def test_every_hub_listens_at_its_own_address_with_a_certificate_of_its_name(
    fleet: RunningAzure,
) -> None:
    info = fleet.call(lambda local: local.info())
    assert len(set(info["addresses"][hub] for hub in info["hubs"])) == 4
    for hub in info["hubs"]:
        for port in (fleet.mqtt_port, fleet.https_port):
            address = info["addresses"][hub]
            assert reach(address, port, fleet.root_pem, hub) == f"{address}:{port}"


def test_this_process_finds_the_names_at_the_usual_ports(fleet: RunningAzure) -> None:
    info = fleet.call(lambda local: local.info())
    with fleet.redirected():
        for name in (DPS_NAME, *info["hubs"]):
            address = info["addresses"][name]
            assert reach(name, 8883, fleet.root_pem) == f"{address}:{fleet.mqtt_port}"
            assert reach(name, 443, fleet.root_pem) == f"{address}:{fleet.https_port}"
        assert reach("Two.Azure-Devices.net.", 443, fleet.root_pem, "two.azure-devices.net")
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("one.azure-devices.net.invalid", 443)


def test_asyncio_and_aiohttp_find_them_too(fleet: RunningAzure) -> None:
    async def ask() -> str:
        context = ssl.create_default_context(cafile=str(fleet.root_pem))
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
            ) as session,
            session.get(f"https://{DPS_NAME}/emulator/info", ssl=context) as answer,
        ):
            return str((await answer.json())["id_scope"])

    with fleet.redirected():
        assert asyncio.run(ask()) == fleet.id_scope


def test_another_process_is_led_here_by_its_folder(fleet: RunningAzure) -> None:
    with names.redirected(fleet.root_pem.parent):
        assert reach(DPS_NAME, 8883, fleet.root_pem).endswith(f":{fleet.mqtt_port}")


def test_what_is_not_redirected_is_left_alone() -> None:
    genuine = socket.getaddrinfo
    with names.redirected({("here", 1): ("127.0.0.1", 2)}):
        assert socket.getaddrinfo is not genuine
        assert socket.getaddrinfo("127.0.0.1", 1) == genuine("127.0.0.1", 1)
        assert socket.getaddrinfo(b"here", "1")[0][4] == ("127.0.0.1", 2)
        assert socket.getaddrinfo("here", 1, type=socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 2)
        assert socket.getaddrinfo(None, 0)
        with names.redirected({("here", 1): ("127.0.0.1", 3)}):
            assert socket.getaddrinfo("here", 1)[0][4] == ("127.0.0.1", 3)
        assert socket.getaddrinfo("here", 1)[0][4] == ("127.0.0.1", 2)
    assert socket.getaddrinfo is genuine


def test_two_equal_redirections_end_one_at_a_time() -> None:
    table: names.Table = {("here", 1): ("127.0.0.1", 2)}
    with names.redirected(table):
        with names.redirected(table):
            pass
        assert socket.getaddrinfo("here", 1)[0][4] == ("127.0.0.1", 2)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "null", '{"mqtt_port": 1}', "\0"])
def test_a_folder_of_something_else_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "info.json").write_text(content)
    with (
        pytest.raises(UsageError, match="not the folder of a local Azure"),
        names.redirected(tmp_path),
    ):
        pass


def test_a_hosts_file_names_every_hub(fleet: RunningAzure) -> None:
    lines = (fleet.root_pem.parent / "hosts").read_text().splitlines()
    info = fleet.call(lambda local: local.info())
    address = info["addresses"]["one.azure-devices.net"]
    assert f"{address} one.azure-devices.net" in lines
    assert f"127.0.0.1 {DPS_NAME}" in lines
    assert not any(len(line.split()) != 2 for line in lines)  # libnss-wrapper takes no comment
    assert hosts_file({"127.0.0.9": "127.0.0.9"}) == ""


def test_curl_reaches_a_hub_by_its_name(
    fleet: RunningAzure, program: Callable[[str], str]
) -> None:
    address = fleet.call(lambda local: local.info())["addresses"]["one.azure-devices.net"]
    command = [
        *(program("curl"), "--silent", "--show-error", "--cacert", str(fleet.root_pem)),
        *("--connect-to", f"one.azure-devices.net:443:{address}:{fleet.https_port}"),
        "https://one.azure-devices.net/emulator/info",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert json.loads(done.stdout)["id_scope"] == fleet.id_scope


def test_a_port_that_one_address_lacks_is_told_and_nothing_stays_open() -> None:
    here, there = own_address(), own_address()
    with socket.create_server((there, 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(host=here, mqtt_port=port, https_port=0, hubs=(there,))
        with pytest.raises(ToolError, match=f"MQTT on {there}:{port}"), running_azure(settings):
            pass
    with running_azure(settings) as azure:
        assert azure.mqtt_port == port


def test_more_https_ports_are_served(azure: RunningAzure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = Settings(mqtt_port=0, https_port=0, more_https_ports=(port,))
    with running_azure(settings) as other:
        assert reach("localhost", port, other.root_pem) == f"127.0.0.1:{port}"
        assert other.call(lambda local: local.https_ports) == [other.https_port, port]


def test_localhost_and_its_address_are_two_hubs_at_one_place() -> None:
    settings = Settings(
        host="localhost", mqtt_port=0, https_port=0, hubs=("localhost", "127.0.0.1")
    )
    assert settings.listening() == ("127.0.0.1",)
    with running_azure(settings) as azure:
        for name in settings.hubs:
            assert reach(name, azure.mqtt_port, azure.root_pem) == f"127.0.0.1:{azure.mqtt_port}"


def test_hubs_may_be_a_list() -> None:
    settings = Settings(hubs=["a", "b"])  # type: ignore[arg-type]
    settings.check()
    assert {"a", "b"} < set(settings.certificate_names())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"addresses": {"elsewhere": "127.0.0.2"}}, "a hub that is not there"),
        ({"addresses": {"localhost": "10.0.0.1"}}, "loopback"),
        ({"more_https_ports": (0,)}, "further https port"),
        ({"more_https_ports": (8443,)}, "named twice"),
        ({"mqtt_port": 8443}, "named twice"),
        ({"names": ("a b",)}, "host name"),
        ({"hubs": "abc"}, "not a text"),
        ({"names": "abc"}, "not a text"),
    ],
)
def test_names_that_cannot_be_are_told(changes: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Settings(**changes).check()  # type: ignore[arg-type]
