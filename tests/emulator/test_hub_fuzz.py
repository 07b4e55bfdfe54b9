"""A hub's REST APIs, whatever they are sent: an answer that can be written, and no exception."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.answers import Answer
from firstlight.emulator.rest import Call
from tests.emulator.hubs import KEYS, NOW
from tests.emulator.peers import token
from tests.emulator.rest_calls import HOST, Bench

FIELDS = [
    "id", "deviceId", "moduleId", "importMode", "eTag", "status", "statusReason", "authentication",
    "type", "symmetricKey", "primaryKey", "x509Thumbprint", "primaryThumbprint", "capabilities",
    "iotEdge", "tags", "properties", "desired", "reported", "query", "methodName", "payload",
    "responseTimeoutInSeconds", "body", "base64Encoded", "a", "$version", "deviceScope",
]  # fmt: skip
TEXTS = ["dev", "new", "create", "update", "delete", "updateTwin", "enabled", "sas", "*", "AAAA"]
BATCH = "application/vnd.microsoft.iothub.json"
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(TEXTS)
)
documents = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=40) | documents.map(lambda document: json.dumps(document).encode())
methods = st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "X"])
segments = st.sampled_from(
    ["devices", "twins", "messages", "statistics", "service", "query", "dev", "new", "commands",
     "deviceBound", "events", "serviceBound", "feedback", "abandon", "lock", "methods", "modules"]
)  # fmt: skip
paths = st.lists(segments | st.text(max_size=5), max_size=6).map(
    lambda names: "/" + "/".join(names)
)
headers = st.dictionaries(
    st.sampled_from(
        ["if-match", "x-ms-continuation", "x-ms-max-item-count", "iothub-to", "iothub-expiry",
         "iothub-ack", "iothub-messageid", "iothub-app-x", "content-type"]
    ),
    st.text(max_size=20) | st.sampled_from(["*", '"*"', "2", BATCH]),
    max_size=4,
)  # fmt: skip
queries = st.dictionaries(st.sampled_from(["top", "reject"]), st.text(max_size=5), max_size=2)


def check(answer: Answer) -> None:
    """What HTTP needs of an answer."""
    assert answer.status != 500
    assert isinstance(answer.body, bytes)
    for name, value in answer.headers.items():
        (name + value).encode("ascii")
        assert value.isprintable()
    if answer.status >= 400 and "errors" not in (answer.document or {}):
        assert "iothub-errorcode" in answer.headers


def ask_both(bench: Bench, authorization: Any, parts: tuple[Any, ...]) -> None:
    method, path, query, more, body = parts
    sent = more | ({} if authorization is None else {"authorization": authorization})
    call = Call(method, path, query | {"api-version": "2021-04-12"}, sent, body)
    check(bench.api.handle(call, NOW))
    check(bench.devices.handle(call, NOW))


@given(st.lists(st.tuples(methods, paths, queries, headers, bodies), max_size=4))
def test_whoever_may_ask_anything_gets_an_answer(calls: list[tuple[Any, ...]]) -> None:
    bench = Bench()
    bench.create()
    own = token(f"{HOST}/devices/dev", KEYS.primary_b64, skn=None)
    for call in calls:
        ask_both(bench, bench.signed("iothubowner"), call)
        ask_both(bench, own, call)
    for path in ("/devices", "/twins/dev", "/statistics/devices"):
        check(bench.ask("GET", path))


@given(st.tuples(methods, paths, queries, headers, bodies), st.none() | st.text(max_size=80))
def test_whoever_may_not_ask_changes_nothing(call: tuple[Any, ...], authorization: Any) -> None:
    bench = Bench()
    before = bench.create()
    ask_both(bench, authorization, call)
    ask_both(bench, bench.signed("device", "other-hub"), call)
    assert bench.ask("GET", "/devices/dev").document == before
    assert len(bench.hub.devices()) == 1


@given(st.sampled_from(["PUT", "PATCH"]), documents)
def test_any_twin_is_kept_as_json_or_refused(method: str, document: Any) -> None:
    bench = Bench()
    bench.create()
    answer = bench.ask(method, "/twins/dev", json.dumps(document).encode())
    assert answer.status in (200, 400, 413)
    check(bench.ask("GET", "/twins/dev"))
    text = {"query": "SELECT * FROM devices WHERE tags.a = 1 OR tags.status != 'x'"}
    check(bench.ask("POST", "/devices/query", text))


@given(st.lists(documents, min_size=1, max_size=3))
def test_any_list_of_identities_is_done_or_named(items: list[Any]) -> None:
    bench = Bench()
    answer = bench.ask("POST", "/devices", json.dumps(items).encode())
    check(answer)
    if "errors" in answer.document:
        assert answer.document["isSuccessful"] is (not answer.document["errors"])
