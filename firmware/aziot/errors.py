"""What can go wrong, as a tree. Trouble with sockets and files stays OSError.

AziotError
|-- ProtocolError   the peer's bytes make no sense
|-- IdentityError   our own document is wrong; its text says which field and why
`-- ServiceError    the peer understood, and says no
    `-- Refused     ... in CONNACK

Never carries a key, a token or a password: every text here may be printed.
"""


class AziotError(Exception):
    pass


class ProtocolError(AziotError):
    pass


class IdentityError(AziotError):
    pass


class ServiceError(AziotError):
    """A refusal, with what support will ask for. Made with positional arguments: MicroPython's
    exceptions take no others.

    status: HTTP's numbers, 0 for none; code: the service's errorCode, or MQTT's return code;
    transient: the same request may well pass later.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        code: int | None = None,
        tracking_id: str | None = None,
        retry_after_s: int | None = None,
        transient: bool = False,
    ) -> None:
        self.message = message
        self.status = status
        self.code = code
        self.tracking_id = tracking_id
        self.retry_after_s = retry_after_s
        self.transient = transient

    def __str__(self) -> str:
        text = self.message
        if self.status:
            text = "%d %s" % (self.status, text)
        if self.code is not None:
            text += ", code %d" % self.code
        if self.tracking_id:
            text += ", tracking id " + self.tracking_id
        return text


class Refused(ServiceError):
    """CONNACK with a return code other than 0 (MQTT 3.1.1 section 3.2.2.3), kept as `code`.

    2, 4 and 5 are about who we are; 1 and 3 may pass.
    """

    def __init__(self, code: int) -> None:
        ServiceError.__init__(self, "CONNACK refused", 0, code, None, None, code in (1, 3))
