"""What a provisioning service can be told, and what it cannot."""

from typing import Any

import pytest

from firstlight.emulator.dps.rules import Rules
from firstlight.errors import UsageError
from tests.emulator.dps.provisioning import SCOPE


def test_the_defaults_are_allowed_and_so_is_no_limit() -> None:
    Rules(SCOPE).check()
    Rules(SCOPE, registrations_per_minute=None, polls_per_10_s=None, max_token_s=60).check()


@pytest.mark.parametrize(
    "rule",
    [
        {"unknown_enrollment": "403"},
        {"derive_from": "upper"},
        {"never_substatus": ""},
        {"chain_to": "root"},
        {"individual_chain": "any"},
        {"certificate_code": 401},
        {"polls_per_10_s": 0},
        {"operations_per_minute": -1},
        {"max_token_s": 0},
        {"wrong_key_code": 401},
        {"expired_code_https": 4010020},
        {"latencies_ms": {"hub-a": -1.0}},
        {"latencies_ms": {"hub-a": "near"}},
        {"device_latencies_ms": {"dev-1": {"hub-a": -1.0}}},
        {"device_latencies_ms": {"dev-1": 7}},
    ],
)
def test_a_rule_that_cannot_be_is_named(rule: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(rule)).removeprefix("device_")):
        Rules(SCOPE, **rule).check()
