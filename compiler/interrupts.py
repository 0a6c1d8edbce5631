"""Ctrl-C: where it may end the work, and where it has to wait."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer, current_thread, main_thread
from types import FrameType

WAIT = 0.01  # seconds until an interruption that came during an import is tried again


@contextmanager
def orderly() -> Iterator[None]:
    """Interruptions raise KeyboardInterrupt, but not inside of an import: half an extension module may crash later."""
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    caller = frame
    while caller is not None:
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            Timer(WAIT, signal.raise_signal, (number,)).start()
            return
        caller = caller.f_back
    raise KeyboardInterrupt


@contextmanager
def held() -> Iterator[None]:
    """Interruptions wait until the end of this; those of a process that is forked here wait for ever."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ignored() -> Iterator[None]:
    """Interruptions are ignored, also by processes that are started here, from their birth."""
    if current_thread() is not main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
