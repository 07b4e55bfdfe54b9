"""`firstlight emulate`: a local Azure until Ctrl-C. Takes options apart, and prints its lines."""

import asyncio
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--mqtt-port", type=int, default=8883, show_default=True, help="DPS and hubs.")
@click.option("--https-port", type=int, default=8443, show_default=True, help="The service API.")
@click.option("--sntp-port", type=int, default=8123, show_default=True, help="The time, by UDP.")
@click.option("--id-scope", help="0ne and eight hexadecimal digits; by default made up.")
@click.option(
    "--hub",
    "hubs",
    multiple=True,
    default=("localhost",),
    show_default=True,
    help="A hub's host name; may be repeated. Devices must be able to resolve it to --host.",
)
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
    help="Where root.pem and connection-string.txt are written.",
)
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line, for machines.")
def emulate(json_lines: bool, polls: int, **wishes: Any) -> None:
    """Run a local Azure: DPS, hubs, the service API and a time server, on loopback.

    A port of 0 means any that is free. Ends with Ctrl-C.

    \b
    Examples:
      firstlight emulate
      firstlight emulate --id-scope 0ne00111111 --polls 3 --hub localhost
      firstlight emulate --mqtt-port 0 --https-port 0 --json
    """
    from ..emulator.serve import serve  # noqa: PLC0415  half a second of imports
    from ..emulator.settings import Settings  # noqa: PLC0415

    settings = Settings(polls_before_assigned=polls, **wishes)
    asyncio.run(serve(settings, click.echo, json_lines))
