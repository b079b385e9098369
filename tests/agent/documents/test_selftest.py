import json

from agent.documents.selftest import Selftest
from tests.agent.selftest.findings import selftest


def test_the_document_can_be_read_again() -> None:
    assert Selftest.from_document(json.loads(json.dumps(selftest().to_document()))) == selftest()
