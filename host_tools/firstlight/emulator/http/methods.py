"""Direct methods over HTTPS: waits for the device to come, then for its answer.

Facts: iot-hub-devguide-direct-methods, and what services were told (404103, 504101). Every wait
is bounded by the call's own time-outs, which are 300 seconds at most each.

    POST /twins/dev/methods   {"methodName": "reboot", "responseTimeoutInSeconds": 30,
                               "connectTimeoutInSeconds": 0, "payload": {"in_s": 5}}
    200                       {"status": 200, "payload": {"ok": true}}
"""

import asyncio
from collections.abc import Callable

from ..answers import Answer, Refusal, parse_object
from ..hub import methods
from ..hub.hub import Hub
from ..hub.methods import MethodCall
from ..hub.refusals import refused_method


async def invoke(hub: Hub, device_id: str, body: bytes, clock: Callable[[], float]) -> Answer:
    """Call a device's method: the answer of POST /twins/{id}/methods, a refusal's among them.

    That the caller may (ServiceConnect) has been checked.
    """
    call = None
    try:
        call = methods.read_call(parse_object(body))
        status, answer = await _call(hub, device_id, call)
        payload = methods.read_payload(answer)
    except Refusal as refusal:
        return _refused(hub, refusal, call, clock())
    note = f"method {call.name} of {device_id}: {status}"
    return Answer(200, {"status": status, "payload": payload}, note)


def _refused(hub: Hub, refusal: Refusal, call: MethodCall | None, now_at: float) -> Answer:
    waited_s = None
    if call is not None and refusal.code in (404103, 504101):
        waited_s = call.connect_timeout_s if refusal.code == 404103 else call.response_timeout_s
    return refused_method(refusal, now_at, hub.random_bytes, waited_s)


async def _call(hub: Hub, device_id: str, call: MethodCall) -> tuple[int, bytes]:
    if not hub.takes_method(device_id, call.name):
        await _online(hub, device_id, call)
    answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    def on_answer(status: int, body: bytes) -> None:
        if not answered.done():
            answered.set_result((status, body))

    rid = hub.call_method(device_id, call.name, call.payload, on_answer)
    try:
        return await asyncio.wait_for(answered, call.response_timeout_s)
    except TimeoutError:
        why = "Timed out waiting for the response from device."
        raise Refusal(504, 504101, why) from None
    finally:
        hub.forget_method(rid)


async def _online(hub: Hub, device_id: str, call: MethodCall) -> None:
    """Wait until the device subscribes to the method; raise Refusal 404103 when time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + call.connect_timeout_s
    while not hub.takes_method(device_id, call.name):
        left_s = deadline - loop.time()
        if left_s <= 0:
            raise methods.not_online()
        came = asyncio.Event()
        undo = hub.on_methods(device_id, came.set)
        try:
            await asyncio.wait_for(came.wait(), left_s)
        except TimeoutError:
            raise methods.not_online() from None
        finally:
            undo()
