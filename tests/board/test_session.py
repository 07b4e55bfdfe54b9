"""session.py on real MicroPython, at a local Azure: what a device hears, says and answers."""

from tests.board.session_probes import Talks, talks

__all__ = ("talks",)  # a fixture


def test_telemetry_is_acknowledged_one_by_one_in_its_order(talks: Talks) -> None:
    result = talks.held(puts=["one", "two", "three"], goal={"acked": 3})
    assert result["errors"] == [None]
    assert (result["acked"], result["left"]) == (3, 0)
    assert talks.bodies() == ["one", "two", "three"]
    assert [m.system_properties["message-id"] for m in talks.telemetry()] == [
        "probe-1",
        "probe-2",
        "probe-3",
    ]


def test_a_session_with_nothing_to_do_is_idle_once_it_has_the_desired_properties(
    talks: Talks,
) -> None:
    talks.desire(colour="red", list=[1, {"x": "ü"}])
    result = talks.held(goal={"idle": True})
    assert result["errors"] == [None]
    assert result["wholes"] == [{"colour": "red", "list": [1, {"x": "ü"}], "$version": 2}]
    assert result["patches"] == []


def test_messages_to_the_device_come_with_their_properties(talks: Talks) -> None:
    with talks.going_on(goal={"messages": 2}) as talk:
        talks.wait_until_listening()
        properties = {"a b": "1=2", "empty": "", "none": None}
        talks.device.send("hello", properties, {"message-id": "ü/7"})
        talks.device.send(b"")
        result = talk.result()
    assert result["errors"] == [None]
    (kind, body, found), (_, empty, _) = result["messages"]
    assert (kind, body, empty) == ("<class 'bytes'>", "hello", "")
    assert found == properties | {
        "$.mid": "ü/7",
        "$.to": "/devices/dev-1/messages/deviceBound",
    }


def test_a_message_is_acknowledged_and_does_not_come_again(talks: Talks) -> None:
    with talks.going_on(goal={"messages": 1, "idle": True}) as talk:
        talks.wait_until_listening()
        talks.device.send("once")
        talk.result()
    result = talks.held(goal={"idle": True})
    assert result["messages"] == []


def test_a_method_is_called_and_answered(talks: Talks) -> None:
    with talks.going_on(goal={"calls": 1, "idle": True}) as talk:
        talks.device.wait_until_connected()
        status, payload = talks.device.call_method("fl*echo", {"x": [1, None]}, 10, 10)
        result = talk.result()
    assert (status, payload) == (200, {"x": [1, None]})
    assert result["calls"] == ["fl*echo"]


def test_reports_reach_the_twin_and_are_forgotten_then(talks: Talks) -> None:
    reports = {"led": "on", "limits": {"low": 1, "high": 2}}
    result = talks.held(reports=reports, goal={"idle": True})
    assert result["errors"] == [None]
    assert result["reports"] == {}
    assert talks.reported() == reports


def test_a_change_of_the_desired_properties_comes_as_a_patch(talks: Talks) -> None:
    talks.desire(colour="red", size=1)
    with talks.going_on(goal={"patches": 2, "idle": True}) as talk:
        talks.wait_for_event("read its twin")
        talks.desire(colour="blue")
        talks.desire(size=None)
        result = talk.result()
    assert result["wholes"] == [{"colour": "red", "size": 1, "$version": 2}]
    assert result["patches"] == [
        {"colour": "blue", "$version": 3},
        {"size": None, "$version": 4},
    ]
