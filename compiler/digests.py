"""The digests of a model, of its file and of its weights, taken on a second core beside what else is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from threading import Lock

from effc.ir.constants import digest
from effc.ir.graph import Array


class Digests:
    """Those of weights come first, once there are any: an artefact is begun with them, and ended with the file's.

    A context manager: what is left of the work ends with an exception, and goes on otherwise.
    """

    PART = 2**26
    """Bytes of the file from one look for weights to the next."""

    def __init__(self, content: memoryview) -> None:
        self._weights: deque[Array] = deque()
        self._working = Lock()
        self._second = ThreadPoolExecutor(1)
        self._given_up = False
        self._content = self._second.submit(self._of, content)

    def __enter__(self) -> Digests:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self._given_up = True
            self._weights.clear()
            self._second.shutdown(wait=False)

    def add(self, weights: Iterable[Array]) -> None:
        """Let ``digest`` know these soon; to be called once."""
        self._weights = deque(weights)
        self._second.submit(self._of_weights)
        self._second.shutdown(wait=False)

    def finish_weights(self) -> None:
        """Take a hand in it until ``digest`` knows those that were added."""
        self._take_weights()
        with self._working:
            pass

    def of_content(self) -> str:
        """The SHA-256 of the file, in hexadecimal; CancelledError if the work has ended before."""
        return self._content.result()

    def _of(self, content: memoryview) -> str:
        sha = sha256()
        for start in range(0, len(content), self.PART):
            self._of_weights()
            if self._given_up:
                raise CancelledError
            sha.update(content[start : start + self.PART])
        return sha.hexdigest()

    def _of_weights(self) -> None:
        with self._working:
            self._take_weights()

    def _take_weights(self) -> None:
        with suppress(IndexError):
            while True:
                digest(self._weights.popleft())
