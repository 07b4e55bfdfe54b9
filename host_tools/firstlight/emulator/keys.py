"""Symmetric keys, base64: a pair of them, their rule, new ones.

Never in a repr.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from .answers import RandomBytes, Refusal


@dataclass(frozen=True)
class Keys:
    """A pair of symmetric keys, base64."""

    primary_b64: str = field(repr=False)
    secondary_b64: str = field(repr=False)

    def __iter__(self) -> Any:
        return iter((self.primary_b64, self.secondary_b64))


def new_keys(random_bytes: RandomBytes) -> Keys:
    """A pair as the services generate them: 64 bytes each."""
    return Keys(*(base64.b64encode(random_bytes(64)).decode() for _ in range(2)))


def check_key(value: Any, name: str) -> str:
    """A key that DPS and IoT Hub take, base64; raise Refusal 400 naming the field."""
    # 16 to 64 bytes: azure/iot-dps/concepts-symmetric-key-attestation.
    try:
        raw = base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Refusal(400, 400000, f"Invalid {name}: not base64.") from None
    if not 16 <= len(raw) <= 64:
        raise Refusal(400, 400000, f"Invalid {name}: must be 16 to 64 bytes.")
    return str(value)
