"""The translator of C: what the standard says of each of its rules, and what a C compiler makes of them."""

from __future__ import annotations

import ctypes
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from c_compiler import needs_compiler

from effc.backends.cpu.build import find_compiler

pytest.importorskip("pycparser")

from effc.compiler.search.translated.module import load
from effc.compiler.search.translated.sources import Preprocessor

SOURCE = Path(__file__).with_name("translated.c")

FUNCTION = re.compile(r"^double (\w+)\(void\).*?} /\* (\S+) \*/$", re.MULTILINE | re.DOTALL)

CASES = {name: float(value) for name, value in FUNCTION.findall(SOURCE.read_text())}
"""What the functions there return."""


@pytest.fixture(scope="module")
def translated() -> dict[str, Any]:
    return load(Preprocessor().read(SOURCE), {})


@pytest.mark.parametrize("name", CASES)
def test_what_the_standard_says(translated: dict[str, Any], name: str) -> None:
    found = translated[name]()
    assert isinstance(found, float)
    assert found == CASES[name]


@needs_compiler
def test_a_compiler_says_the_same(tmp_path: Path) -> None:
    library = tmp_path / "translated.so"
    options = ["-O1", "-w", "-shared", "-fPIC", "-ffp-contract=off"]
    subprocess.run([*find_compiler(), *options, str(SOURCE), "-o", str(library), "-lm"], check=True, timeout=60)
    compiled = ctypes.CDLL(str(library))
    for name, expected in CASES.items():
        function = compiled[name]
        function.restype = ctypes.c_double
        assert function() == expected, name


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("int a[3] = {0}, i = 3; return a[i];", IndexError),
        ("int a[3] = {0}, i = 0; return a[i - 1];", IndexError),
        ("int a[3] = {0}, *p = a; p--; p[0] = 1; return 0;", IndexError),
        ("int a[3] = {0}, b[3] = {0}; memcpy(a, b, sizeof(int) * 4); return 0;", IndexError),
        ("int a[3]; return a[1] + 1;", TypeError),
        ("Inner *p = malloc(sizeof *p); return p->x * 2;", TypeError),
        ("Inner *p = NULL; return p->n;", AttributeError),
        ("double x = INFINITY; return (int)x;", OverflowError),
        ("int a[] = {1, 1}; qsort(a, 2, sizeof *a, by_number); return 0;", ValueError),
    ],
)
def test_what_c_leaves_undefined_raises(tmp_path: Path, body: str, error: type[Exception]) -> None:
    path = tmp_path / "case.c"
    path.write_text(f'#include "{SOURCE}"\ndouble f(void) {{ {body} }}')
    with pytest.raises(error):
        load(Preprocessor().read(path), {})["f"]()


@pytest.mark.parametrize(
    "body", ["goto end; end: return 0;", "switch (1) { case 1: return 0; }", "static int n; return n;"]
)
def test_what_is_not_known_is_said(tmp_path: Path, body: str) -> None:
    path = tmp_path / "case.c"
    path.write_text(f"int f(void) {{ {body} }}")
    with pytest.raises(NotImplementedError, match=r"case\.c:1"):
        load(Preprocessor().read(path), {})


def test_macros(tmp_path: Path) -> None:
    (tmp_path / "other.h").write_text("enum { TWO = 2 };\n")
    text = """#include "other.h"
#define SUM (ONE + TWO) /* of both */
#ifndef ONE
#define ONE 1
#endif
#if defined(NOWHERE) && defined(ONE)
no C at all
#else
int f(void) { return SUM; }
#endif
"""
    (tmp_path / "case.c").write_text(text)
    assert load(Preprocessor({"ONE": "5"}).read(tmp_path / "case.c"), {})["f"]() == 7
    assert math.isinf(load(Preprocessor().read(tmp_path / "case.c"), {})["inf"])
