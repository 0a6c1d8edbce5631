"""The command line: verbs only. Each reads its arguments, calls the API and prints; results go to stdout.

Exit codes: 0 done, 1 a verification failed, 2 the input was wrong (one message on stderr), 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

from effc.compiler.errors import CacheWarning, InputError, KernelWarning
from effc.compiler.interrupts import orderly

DONE, UNEQUAL, WRONG, BROKEN, INTERRUPTED = 0, 1, 2, 70, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    warnings.showwarning = _shown
    if argv is None:
        atexit.register(gc.freeze)  # what is left goes with the process, and need not be looked through
    try:
        with orderly():
            return run(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        print(error, file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("effc: interrupted", file=sys.stderr)
        exec("")  # CPython forgets an interruption of an earlier exec, as of a dataclass; it would end by the signal
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except MemoryError:
        print("error: out of memory\n  remedy:   compile a smaller model or batch", file=sys.stderr)
        return WRONG
    except Exception as error:
        if os.environ.get("EFFC_DEBUG", "0") not in ("", "0"):
            raise
        print(f"effc: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        print("  remedy:   please report it, with the traceback that EFFC_DEBUG=1 shows", file=sys.stderr)
        return BROKEN


_showwarning = warnings.showwarning


def _shown(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of effc's own on one line, any other as Python does it."""
    if issubclass(category, CacheWarning | KernelWarning):
        print(f"effc: warning: {message}", file=sys.stderr)
    else:
        _showwarning(message, category, filename, lineno, file, line)


def run(argv: Sequence[str]) -> int:
    """Find the verb and do what it says."""
    from effc.compiler.cli_arguments import VERBS, parse

    arguments = parse(argv)
    module, function = VERBS[arguments.verb].split(":")
    code: int = getattr(import_module(f"effc.compiler.{module}"), function)(arguments)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
