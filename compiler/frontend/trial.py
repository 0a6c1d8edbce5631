"""A trial in a process of its own, of what may stop the program.

On some damaged models onnx's inference of shapes, which is C++, aborts, and would take the program with it, or never
comes back. So it is tried in a fork first, where there is one that is safe: on Linux. Elsewhere nothing is tried.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress

from effc.compiler.errors import InputError
from effc.compiler.interrupts import held

PATIENCE = 10
"""How many times its processor time a trial may take: what sleeps for longer is no fault of the model."""


def require_survival(
    work: Callable[[], object],
    what: str,
    place: str = "",
    seconds: int = 10,
    meanwhile: Callable[[], object] | None = None,
) -> None:
    """Raise an InputError if ``work`` ends its process, or takes more than so many seconds of processor time.

    What it returns or raises does not matter. ``meanwhile``: what to do here until it is through.
    """
    if sys.platform != "linux":
        return
    end = _end(work, seconds, meanwhile or (lambda: None))
    if end == signal.SIGXCPU:
        raise InputError(f"onnx cannot {what}: it does not come to an end", place, "a model that is not damaged")
    if end:
        name = signal.Signals(end).name
        raise InputError(f"onnx cannot {what}: its C++ code ends with {name}", place, "a model that is not damaged")


def _end(work: Callable[[], object], seconds: int, meanwhile: Callable[[], object]) -> int:
    """The signal that ends a process that does ``work``; 0 if none does."""
    alive, end = os.pipe()
    with warnings.catch_warnings(), held():
        warnings.simplefilter("ignore")  # about threads: a lock may stay locked, and patience comes to an end
        child = os.fork()
        if not child:
            _try(work, seconds)
    os.close(end)
    finished: list[int] = []
    try:
        meanwhile()
        finished, _, _ = select.select([alive], [], [], PATIENCE * seconds)  # the end of the child closes the pipe
    finally:
        os.close(alive)
        if not finished:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if finished and os.WIFSIGNALED(status) else 0


def _try(work: Callable[[], object], seconds: int) -> None:
    """In the child: do the work in silence, and end."""
    try:
        gc.disable()  # what is left of the caller's may wait for threads when it goes, and there are none here
        import faulthandler
        import resource

        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        with suppress(BaseException):
            work()
    finally:
        os._exit(0)
