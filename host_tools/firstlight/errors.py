"""What can go wrong on the host, as a tree. cli.py catches ToolError once, and nothing else does.

ToolError           exit 1  one sentence: what happened, and what to do
|-- UsageError      exit 2  the call, a file or a key that the user gave is wrong
|-- BoardError      exit 3  the board, or the port it should be on
|-- ServiceError    exit 4  Azure, or the emulator, said no: status, code, tracking id
`-- ProofError      exit 5  the board does not hold the key it was given

Never carries a key, a token or a connection string: every text here is printed.
"""


class ToolError(Exception):
    """A failure to be told in one sentence. exit_code: what the process ends with."""

    exit_code = 1


class UsageError(ToolError):
    """The user's input is wrong; nothing was touched."""

    exit_code = 2


class BoardError(ToolError):
    """No board, not a MicroPython, or it did not do what it was told."""

    exit_code = 3


class ServiceError(ToolError):
    """The service refused. The text holds its status, code and tracking id.

    status: HTTP's, 0 if there was no answer.
    """

    exit_code = 4

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ProofError(ToolError):
    """The board's answer to the nonce is not the one its key would give."""

    exit_code = 5
