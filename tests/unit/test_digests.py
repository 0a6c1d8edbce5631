"""The digests of a model's file and of its weights, whichever come first."""

from concurrent.futures import CancelledError
from hashlib import sha256

import numpy as np
import pytest

from effc.compiler.digests import Digests
from effc.ir import constants

CONTENT = bytes(range(250)) * 40


@pytest.mark.parametrize("part", [7, 1000, 2**26])
def test_digests_of_a_file_and_of_its_weights(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(Digests, "PART", part)
    weights = [np.frombuffer(CONTENT[start : start + 100], np.uint8) for start in range(0, 2000, 100)]
    taken = Digests(memoryview(CONTENT))
    taken.add(weights)
    taken.finish_weights()
    assert [constants._known[id(value)][1] for value in weights] == [sha256(value).hexdigest() for value in weights]
    assert taken.of_content() == sha256(CONTENT).hexdigest()


def test_no_weights_are_soon_known() -> None:
    taken = Digests(memoryview(b""))
    taken.add([])
    taken.finish_weights()
    assert taken.of_content() == sha256(b"").hexdigest()


def test_an_exception_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Digests, "PART", 10)
    with pytest.raises(KeyError), Digests(memoryview(bytes(2**22))) as taken:
        raise KeyError
    with pytest.raises(CancelledError):
        taken.of_content()
