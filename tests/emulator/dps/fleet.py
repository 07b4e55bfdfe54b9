"""A fleet with certificates, and a service that is to know it: one root, two batches, one line."""

from datetime import UTC, datetime
from typing import Any

from firstlight.emulator.dps.service import Request
from tests.certificates import make_ca, make_leaf, make_root
from tests.emulator.dps.provisioning import NOW, Service, refused

START = datetime.fromtimestamp(NOW, UTC)
ROOT = make_root(start=START)
BATCH = make_ca(ROOT, "Batch 1", start=START)
OTHER_BATCH = make_ca(ROOT, "Batch 2", start=START)
LINE = make_ca(BATCH, "Line 1", start=START)
LEAF = make_leaf(BATCH, "dev-1", start=START)
ALONE = make_leaf(None, "dev-1", start=START)
STRANGER = make_root("Stranger", start=START)

UNAUTHORIZED, INVALID = "Unauthorized", "Invalid certificate."
NO_CA = "CA certificate not found."
NO_MATCH = "Signing certificate info did not match chain elements."


def fleet(**rules: Any) -> Service:
    """A service with a verified root and a group of one batch."""
    service = Service(**rules)
    service.ca("root", ROOT)
    service.signed("batch-1", BATCH)
    return service


def said(service: Service, request: Request) -> tuple[int, str, str]:
    """The errorCode, the message and what the log is told."""
    answer = service.register(request)
    status, code = refused(answer)
    assert status == code // 1000
    return code, answer.document["message"], answer.note
