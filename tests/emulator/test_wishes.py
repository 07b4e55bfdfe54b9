"""Settings by name, as text."""

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.dps.rules import Rules
from firstlight.emulator.settings import Settings
from firstlight.emulator.wishes import listed, wished
from firstlight.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("retry_after_s=0", "retry_after_s", 0),
        ("registrations_per_minute=off", "registrations_per_minute", None),
        ("registrations_per_minute=5", "registrations_per_minute", 5),
        ("packet_timeout_s=2.5", "packet_timeout_s", 2.5),
        ("unknown_enrollment=401", "unknown_enrollment", "401"),
        ("put_over=true", "put_over", True),
        ("put_over=off", "put_over", False),
        ("id_scope=0ne00111111", "id_scope", "0ne00111111"),
        ("state=azure.db", "state", Path("azure.db")),
        ('latencies_ms={"localhost": 3}', "latencies_ms", {"localhost": 3}),
    ],
)
def test_a_value_takes_the_type_of_its_setting(text: str, name: str, value: object) -> None:
    found = getattr(wished(Settings(), (text,)), name)
    assert (found, type(found)) == (value, type(value)) or found == value


def test_a_setting_inside_another_is_named_with_a_dot() -> None:
    wishes = ("hub_rules.connacks.unknown=4", "hub_rules.backlog=delivered")
    rules = wished(Settings(), wishes).hub_rules
    assert (rules.connacks.unknown, rules.backlog) == (4, "delivered")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("retry_after_s", "not NAME=VALUE"),
        ("nonsense=1", "no setting 'nonsense'"),
        ("hub_rules=1", "cannot be set so"),
        ("hub_rules.nonsense=1", "no setting"),
        ("retry_after_s.x=1", "cannot be set so"),
        ("retry_after_s=soon", "cannot be 'soon'"),
        ("put_over=perhaps", "true or false"),
        ("latencies_ms=3", "cannot be"),
        ("hubs=a", "cannot be set so"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        wished(Settings(), (text,))


def test_everything_that_is_listed_can_be_set_to_what_it_is() -> None:
    lines = tuple(listed(Settings()))
    assert "hub_rules.connacks.unknown=5" in lines
    assert "retry_after_s=3" in lines
    assert wished(Settings(), lines) == Settings()


@given(st.text() | st.sampled_from(list(listed(Settings()))).flatmap(lambda s: st.just(s + "x")))
def test_whatever_is_wished_the_answer_is_settings_or_a_sentence(text: str) -> None:
    try:
        wished(Settings(), (text,)).check()
    except UsageError as error:
        sentence = str(error)
        assert len(sentence) < 1000 + len(text)


def test_settings_have_every_rule_of_dps_with_its_default() -> None:
    ours = {one.name: one for one in fields(Settings)}
    for rule in fields(Rules):
        if rule.name != "id_scope":
            assert rule.name in ours, f"Settings has no {rule.name}"
            default = getattr(Rules("0ne00111111"), rule.name)
            assert getattr(Settings(), rule.name) == default


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("connect_timeout_s=inf", "bounds"),
        ("packet_timeout_s=nan", "bounds"),
        ("webhook_timeout_s=0", "webhook"),
        ('latencies_ms={"a": "b"}', "milliseconds"),
        ('device_latencies_ms={"a": 3}', "milliseconds"),
        ("unknown_enrollment=500", "unknown_enrollment"),
        ("wrong_key_code=1", "errorCode"),
        ("hub_rules.connacks.unknown=9", "CONNACK"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_starts(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        wished(Settings(), (text,)).check()
