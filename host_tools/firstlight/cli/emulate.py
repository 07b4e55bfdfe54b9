"""`firstlight emulate`: a local Azure until Ctrl-C. Takes options apart, and prints its lines."""

import asyncio
import gc
import io
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError

_GARBAGE = 10_000  # objects, until they are looked through for what nobody needs


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--mqtt-port", type=int, default=8883, show_default=True, help="DPS and hubs.")
@click.option(
    "--https-port",
    "https_ports",
    type=int,
    multiple=True,
    default=(8443,),
    show_default=True,
    help="REST APIs, and MQTT over WebSocket; may be repeated: 443 for SDKs that fix it.",
)
@click.option("--sntp-port", type=int, default=8123, show_default=True, help="The time, by UDP.")
@click.option("--id-scope", help="0ne and eight hexadecimal digits; by default made up.")
@click.option(
    "--hub",
    "hubs",
    multiple=True,
    metavar="NAME[=ADDRESS]",
    help="A hub's host name, and a loopback address of its own; may be repeated. By default one, "
    "localhost. A name that is an address, as 127.0.0.2, is there by itself.",
)
@click.option(
    "--name", "names", multiple=True, help="A further name of DPS, for the certificate too."
)
@click.option("--group", default="fleet", show_default=True, help="The enrollment group to make.")
@click.option("--no-group", is_flag=True, help="Make none, and print no key.")
@click.option("--polls", default=1, show_default=True, help="Answers `assigning` before assigned.")
@click.option("--retry-after", "retry_after_s", default=3, show_default=True, help="In seconds.")
@click.option(
    "--auth-at",
    type=click.Choice(["register", "connect"]),
    default="register",
    show_default=True,
    help="When DPS checks credentials: at the register request, as Azure does, or in CONNACK.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("local-azure"),
    show_default=True,
    help="Where root.pem, the group's key, the connection strings and info.json are written.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep everything in this file, for the next start; by default nothing is kept.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="WORDS",
    help="What goes wrong from the start on, as for firstlight fault add; may be repeated.",
)
@click.option("--set", "wishes", multiple=True, metavar="NAME=VALUE", help="Any other setting.")
@click.option("--settings", "show", is_flag=True, help="List what --set takes, and end.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line, for machines.")
def emulate(json_lines: bool, wishes: tuple[str, ...], show: bool, **words: Any) -> None:
    """Run a local Azure: DPS, hubs, their REST APIs and a time server, on loopback.

    Prints where everything is, a group's key, and lines to try it with; then one line an event.
    A port of 0 means any that is free. Ends with Ctrl-C.

    \b
    Examples:
      firstlight emulate
      firstlight emulate --id-scope 0ne00111111 --polls 3 --hub localhost --hub 127.0.0.1
      firstlight emulate --host 127.0.0.5 --https-port 443 --https-port 8443
      firstlight emulate --hub one.azure-devices.net=127.0.0.2 --hub 127.0.0.3
      firstlight emulate --state azure.db --set hub_rules.connacks.unknown=4
      firstlight emulate --fault "poll refuse status=429 times=2" --fault "accept close every=3"
      firstlight emulate --mqtt-port 0 --https-port 0 --json
    """
    from ..emulator.settings import Settings  # noqa: PLC0415
    from ..emulator.wishes import listed, wished  # noqa: PLC0415

    if show:
        for line in listed(Settings()):
            click.echo(line)
        return
    settings = wished(Settings(**_settings(**words)), wishes)
    from ..emulator.serve import serve  # noqa: PLC0415  the servers' imports

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a device's name may be in any script
    # What a start makes, stays; and of what a connection leaves behind, little goes in circles.
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    asyncio.run(serve(settings, _say, json_lines))


def _say(line: str) -> None:
    # click.echo looks at the terminal anew for each line, which takes longer than to write it.
    out: Any = sys.stdout  # None if the caller closed it: nobody wants to be told
    if out is not None:
        out.write(line + "\n")
        out.flush()


def _settings(
    hubs: tuple[str, ...],
    https_ports: tuple[int, ...],
    polls: int,
    group: str,
    no_group: bool,
    **words: Any,
) -> dict[str, Any]:
    usual = "localhost" if words["host"] in ("127.0.0.1", "localhost") else words["host"]
    pairs = [hub.partition("=") for hub in hubs or (usual,)]
    addresses = {name: address for name, equals, address in pairs if equals}
    if any(not address for address in addresses.values()):
        raise UsageError("--hub is NAME or NAME=ADDRESS, as one.azure-devices.net=127.0.0.2")
    return words | {
        "hubs": tuple(name for name, _, _ in pairs),
        "addresses": addresses,
        "https_port": https_ports[0],
        "more_https_ports": tuple(https_ports[1:]),
        "polls_before_assigned": polls,
        "group": None if no_group else group,
    }
