import json

from agent.documents.selftest_detection import DetectionSelftest
from tests.agent.selftest.told import selftest


def test_the_document_can_be_read_again() -> None:
    assert DetectionSelftest.from_document(json.loads(json.dumps(selftest().to_document()))) == selftest()
