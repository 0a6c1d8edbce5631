"""``effc asm`` and ``effc disasm``: programs as text and as bytes."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from effc.compiler.cli_opt import source
from effc.compiler.cli_output import STDOUT, check_outputs, write_result
from effc.compiler.errors import InputError
from effc.compiler.files import atomic_file, read_bytes

SEALED = b"PK"
"""With which a compiled model begins."""


def asm(arguments: Namespace) -> int:
    """Write the binary form of the text of a program."""
    from effc.backends.accel import encode_program, parse_program

    if arguments.output == STDOUT:
        raise InputError("bytes are not printed", "effc asm", "-o PROGRAM.bin")
    check_outputs(arguments, "output")
    data = encode_program(parse_program(*source(arguments.program)))
    with atomic_file(Path(arguments.output)) as file:
        file.write(data)
    return 0


def disasm(arguments: Namespace) -> int:
    """Print a program, from its binary form or from a compiled model."""
    from effc.backends.accel import decode_program, print_program

    check_outputs(arguments, "output")
    path = Path(arguments.program)
    data = read_bytes(path, "a program, as `effc asm` writes it, or a compiled model")
    if data.startswith(SEALED):
        from effc.compiler.artefact import load

        text = load(path, "absent").show(as_="asm")
    else:
        text = print_program(decode_program(data, str(path)))
    write_result(arguments.output or STDOUT, text)
    return 0
