"""How connections to DPS behave where protocol.md is UNCERTAIN: each plausible way is a setting.

Values and their check; no I/O. The default is the one that the most evidence speaks for.
"""

from dataclasses import dataclass

from ...errors import UsageError

_WORDS = {
    "foreign_topic": ("close", "ignore"),
    "qos2": ("close", "ignore"),
    "denied_subscribe": ("close", "failure"),
    "parallel": ("allow", "newest", "oldest"),
    "after_error": ("keep", "close"),
    "empty_password": ("accept", "refuse"),
}
_MAX_SILENCE_S = 24 * 3600.0


@dataclass(frozen=True)
class ConnectionRules:
    """Of DPS's MQTT connections (protocol.md 10 and the sections named).

    *_code: CONNACK's return code, or 0 to let the device in: scope_code for an id scope that is
    not ours (2.7) and version_code for an api-version that nobody knows (1.3), both refused at
    register then; id_code for a client id that is not the registration id (then the user name
    alone counts); token_code for wrong credentials if they are checked at CONNECT (2.7);
    user_code for a user name that is neither DPS's nor a hub's.
    foreign_topic: a PUBLISH to another topic: close the connection, or ignore it (2.1).
    qos2: a PUBLISH with QoS 2: close, or ignore it, unanswered (1.5).
    denied_subscribe: another filter: close (1.5), or SUBACK with failure, 0x80.
    parallel: connections with one registration id: allow; newest: the older one ends; oldest: the
    newer one is refused with id_code, or 2 (1.5).
    after_error: after an answer that no repetition mends (4xx, not 429): keep, or close (2.7).
    empty_password: of a device with a certificate, which need not send one at all: accept it, or
    refuse it with token_code, at a hub too (1.2, 6.1).
    max_silence_s: how long silence may last, however long the keepalive (1.5).
    """

    scope_code: int = 0
    version_code: int = 5
    id_code: int = 2
    token_code: int = 5
    user_code: int = 4
    foreign_topic: str = "close"
    qos2: str = "close"
    denied_subscribe: str = "close"
    parallel: str = "allow"
    after_error: str = "keep"
    empty_password: str = "accept"  # noqa: S105  (a setting, no password)
    max_silence_s: float = 1767.0

    def check(self) -> None:
        """Raise UsageError naming the first that cannot be."""
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise UsageError(f"{name} is one of {', '.join(words)}")
        for name in ("scope_code", "version_code", "id_code", "token_code", "user_code"):
            least = 1 if name in ("user_code", "token_code") else 0
            if not least <= getattr(self, name) <= 255:
                raise UsageError(f"{name} is CONNACK's return code, from {least} to 255")
        if not 1 <= self.max_silence_s <= _MAX_SILENCE_S:
            raise UsageError("max_silence_s goes from 1 to 86400 seconds")
