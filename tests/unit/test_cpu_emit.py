"""The C of a scheduled nest: golden texts, ragged tiles, and names that nobody should be able to abuse."""

from __future__ import annotations

import ctypes
import re
from itertools import product

import numpy as np
import pytest
from c_compiler import needs_compiler

from effc.backends.cpu import build
from effc.backends.cpu.emit import emit_c, emit_file
from effc.backends.cpu.names import RESERVED, Names, comment
from effc.ir.graph import NestOp, View
from effc.ir.nest import Axis, Dim, Nest, Operand
from effc.ir.schedule import For, Item, Keep, Par, Schedule


def plain(name: str, *dims: Dim) -> Operand:
    return Operand(name, tuple(Axis(((1, dim.name),), 0, dim.bound) for dim in dims))


def gemm(m: int = 5, n: int = 6, k: int = 7, name: str = "fc") -> Nest:
    rows, columns, inner = Dim("M", m, "P"), Dim("N", n, "K"), Dim("K", k, "C")
    reads = (plain("I", rows, inner), plain("W", inner, columns))
    return Nest(name, (rows, columns, inner), reads, plain("O", rows, columns))


def conv() -> Nest:
    """Two filters of 3 x 1 on a plane of 9 x 4, stride 2, dilation 2, padding of 1 above; N has no loop."""
    n, k, c, p, q, r = dims = tuple(map(Dim, "NKCPQR", (1, 2, 3, 4, 4, 3), "NKCPQR"))
    image = Operand("I", (*plain("", n, c).axes, Axis(((2, "P"), (2, "R")), -1, 9), *plain("", q).axes))
    return Nest("conv1", dims, (image, plain("W", k, c, r)), plain("O", n, k, p, q), plain("B", k))


def plainly(nest: Nest) -> Schedule:
    return Schedule(tuple(For(dim.name, 1) for dim in nest.dims))


GEMM = """\
static inline long min(long a, long b)
{
  return a < b ? a : b;
}

/* nest fc (M:P=5, N:K=6, K:C=7) {
 *   read  I[M < 5, K < 7]
 *   read  W[K < 7, N < 6]
 *   write O[M < 5, N < 6]
 * }
 */
void fc(const float *restrict I, const float *restrict W, float *restrict O)
{
  for (long m = 0; m < 5; m++)
    for (long n = 0; n < 6; n++)
      O[6 * m + n] = 0.0f;

  for (long m = 0; m < 5; m++)
    /* keep W @ GLB */
    for (long n0 = 0; n0 < 6; n0 += 3)
      for (long k0 = 0; k0 < 7; k0 += 4)
        for (long n = n0; n < n0 + 3; n++)  /* par N @ GLB.x */
          for (long k1 = k0; k1 < min(k0 + 4, 7); k1 += 2)  /* par K @ GLB.y */
            /* keep O @ spad */
            for (long k = k1; k < min(k1 + 2, 7); k++)
              O[6 * m + n] += I[7 * m + k] * W[6 * k + n];
}
"""

CONV = """\
/* Conv /features/0
 *
 * nest conv1 (N=1, K=2, C=3, P=4, Q=4, R=3) {
 *   read  I[N < 1, C < 3, 2*P + 2*R - 1 < 9, Q < 4]
 *   read  W[K < 2, C < 3, R < 3]
 *   bias  B[K < 2]
 *   write O[N < 1, K < 2, P < 4, Q < 4]
 * }
 */
void conv1(const float *restrict I, const float *restrict W, const float *restrict B, float *restrict O)
{
  for (long k = 0; k < 2; k++)
    for (long p = 0; p < 4; p++)
      for (long q = 0; q < 4; q++)
        O[k + 2 * p + 8 * q + 64] = B[k];

  /* keep I @ GLB */
  for (long q = 0; q < 4; q++)
    for (long p = 0; p < 4; p++)
      for (long c = 0; c < 3; c++)
        for (long r = 0; r < 3; r++)  /* par R @ GLB.y */
          for (long k = 0; k < 2; k++) {  /* par K @ GLB.x */
            /* keep W @ spad */
            const long i2 = 2 * p + 2 * r - 1;
            if (i2 >= 0 && i2 < 9)
              O[k + 2 * p + 8 * q + 64] += I[36 * c + 4 * i2 - q + 3] * W[9 * k + 3 * c + r];
          }
}
"""


def test_gemm() -> None:
    items: tuple[Item, ...] = (
        For("M", 1),
        Keep("W", "GLB"),
        For("N", 3),
        For("K", 4),
        Par("N", 1, "GLB", "x"),
        Par("K", 2, "GLB", "y"),
        Keep("O", "spad"),
        For("K", 1),
    )
    assert emit_c(gemm(), Schedule(items)) == GEMM


def test_conv_with_views() -> None:
    items: tuple[Item, ...] = (
        Keep("I", "GLB"),
        For("Q", 1),
        For("P", 1),
        For("C", 1),
        Par("R", 1, "GLB", "y"),
        Par("K", 1, "GLB", "x"),
        Keep("W", "spad"),
    )
    uses = {
        "I": View("image", 3, (108, 36, 4, -1)),  # mirrored
        "W": View("filters", 0, (9, 3, 1)),
        "B": View("bias", 0, (1,)),
        "O": View("planes", 64, (32, 1, 2, 8)),
    }
    op = NestOp(conv(), uses, "Conv", "/features/0", Schedule(items))
    assert emit_file([op]).text == CONV


def test_a_window_without_padding_is_one_index() -> None:
    p, r = Dim("P", 4, "P"), Dim("R", 3, "R")
    nest = Nest("conv", (p, r), (Operand("I", (Axis(((2, "P"), (1, "R")), 0, 9),)), plain("W", r)), plain("O", p))
    assert "O[p] += I[2 * p + r] * W[r];" in emit_c(nest, plainly(nest))
    uses = {"I": View("x", 1, (3,)), "W": View("w", 0, (0,)), "O": View("y", 0, (1,))}
    assert "O[p] += I[3 * (2 * p + r) + 1] * W[0];" in emit_c(nest, plainly(nest), uses)


def ends(*steps: int) -> list[str]:
    """The conditions of the loops over a dim of 70."""
    nest = gemm(m=70)
    items = [For("M", step) for step in steps] + [For("N", 1), For("K", 1)]
    loops = emit_c(nest, Schedule(tuple(items))).partition("\n\n  for")[2]
    return re.findall(r"; (m\w* < [^;]*);", loops)


def test_tiles_are_clipped_only_where_they_can_stick_out() -> None:
    assert ends(1) == ["m < 70"]
    assert ends(35, 7, 1) == ["m0 < 70", "m1 < m0 + 35", "m < m1 + 7"]
    assert ends(16, 4, 1)[1:] == ["m1 < min(m0 + 16, 70)", "m < min(m1 + 4, 70)"]
    assert ends(35, 6, 1)[1:] == ["m1 < m0 + 35", "m < min(m1 + 6, m0 + 35)"]
    assert ends(16, 5, 1)[2] == "m < min(m1 + 5, min(m0 + 16, 70))"
    assert ends(70, 70, 1, 1)[1:] == ["m1 < m0 + 70", "m2 < m1 + 70", "m < m2 + 1"]
    assert ends(8, 12, 1)[1:] == ["m1 < min(m0 + 8, 70)", "m < min(m1 + 12, min(m0 + 8, 70))"]


def test_the_clipped_loops_visit_every_index_once() -> None:
    for bound, first, second in product((1, 7, 12, 13), (1, 3, 4, 5, 13), (1, 2, 3, 4)):
        nest = gemm(m=bound)
        items = (For("M", first), For("M", second), For("M", 1), For("N", 1), For("K", 1))
        loops = emit_c(nest, Schedule(items)).partition("\n\n  for")[2]
        assert visited(re.findall(r"long (m\w*) = (\w+); m\w* < ([^;]*); ([^)]*)\)", loops)) == list(range(bound))


def visited(loops: list[tuple[str, str, str, str]]) -> list[int]:
    """The values of the innermost variable, the loops run as Python."""
    spaces: list[dict[str, int]] = [{}]
    for variable, start, end, step in loops:
        by = int(step.removeprefix(f"{variable} += ")) if "+=" in step else 1
        spaces = [
            {**space, variable: value}
            for space in spaces
            for value in range(eval(start, {}, space), eval(end, {"min": min}, space), by)
        ]
    return [space[loops[-1][0]] for space in spaces]


HOSTILE = (
    "*/ int evil; /*",
    "a\nint evil;",
    "a\\\nint evil;",
    "*??/\n/ int evil;",
    "*\\",
    "/",
    "**//**",
    "??)",
    '"; int evil; //',
    "\u2028\u202e\ud800\x00",
    "",
    "_",
    "__builtin_trap",
    "int",
    "min",
    "memset",
    "main",
    "9lives",
    "x" * 500,
    "I",
    "O",
    "/layer1/layer1.0/conv1/Conv",
)


def bare(text: str) -> str:
    """C without its comments, trigraphs and spliced lines resolved first as a compiler does."""
    text = text.replace("??/", "\\").replace("\\\n", "")
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def hostile_op(name: str) -> NestOp:
    rows, columns, inner = Dim(name, 2, "P"), Dim(name + " ", 3, "K"), Dim("b" + name, 4, "C")
    image, filters, output = f"{name}I", f"{name}\nI", f"{name}*/I"
    nest = Nest(name, (rows, columns, inner), (plain(image, rows, inner), plain(filters, inner, columns)),
                plain(output, rows, columns))  # fmt: skip
    items = (Keep(image, name), Par(rows.name, 1, name, name), For(columns.name, 2), For(inner.name, 1))
    uses = {image: View(name, 0, (4, 1)), filters: View(name, 0, (3, 1)), output: View(name, 0, (3, 1))}
    return NestOp(nest, uses, name, name, Schedule((*items, For(columns.name, 1))))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name(name: str) -> None:
    text = emit_file([hostile_op(name)]).text
    assert text.isascii()
    code = bare(text)
    assert "/*" not in code and "*/" not in code
    tame = bare(emit_file([hostile_op("tame")]).text)
    assert anonymous(code) == anonymous(tame)


def anonymous(code: str) -> str:
    """Code with every identifier that is ours to choose called x."""
    kept = ["static", "inline", "long", "min", "return", "void", "const", "float", "restrict", "for"]
    return re.sub(r"\s+", "", re.sub(r"\b[A-Za-z_]\w*", lambda m: m[0] if m[0] in kept else "x", code))


def test_functions_of_one_file_have_names_of_their_own() -> None:
    names = emit_file([hostile_op(name) for name in (*HOSTILE, *HOSTILE)]).functions
    assert len(set(names)) == 2 * len(HOSTILE)
    assert not RESERVED & set(names)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,50}", name) for name in names)
    assert "layer1_layer1_0_conv1_Conv" in names


@needs_compiler
def test_hostile_names_compile_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, *strict))
    source = emit_file([hostile_op(name) for name in HOSTILE])
    library = build.build(source.text)
    for name in source.functions:
        words = [np.ones(12, np.float32) for _ in range(3)]
        library[name](*(array.ctypes.data_as(ctypes.c_void_p) for array in words))
        assert words[2].tolist() == [4.0] * 6 + [1.0] * 6


def test_names() -> None:
    names = Names()
    assert [names.claim(text, "layer") for text in ("a.b", "a b", "a_b_2", "", "3", "for")] == [
        "a_b",
        "a_b_2",
        "a_b_2_2",
        "layer",
        "layer_3",
        "for_2",
    ]


def test_comments() -> None:
    assert comment("/conv/1") == "/conv/1"
    assert comment("a*/b/*c/*/") == "a*%2Fb/%2Ac/%2A%2F"
    assert comment("what???/\n") == "what?%3F?/%0A"
    assert comment("tab\t\\ é") == "tab%09%5C %E9"


def test_what_cannot_be_emitted_is_refused() -> None:
    nest = gemm()
    with pytest.raises(ValueError, match="end with tiles of 5"):
        emit_c(nest, Schedule((For("K", 1), For("N", 1))))
    with pytest.raises(ValueError, match="step 0"):
        emit_c(nest, Schedule((For("K", 0), For("N", 1), For("M", 1))))
    with pytest.raises(ValueError, match="has no schedule"):
        emit_file([NestOp(nest, {}, "Gemm", "fc")])
    wide = Nest("wide", nest.dims, nest.reads, Operand("O", (Axis(((1, "M"),), 1, 5), *plain("", nest.dims[1]).axes)))
    with pytest.raises(ValueError, match="outside its shape"):
        emit_c(wide, plainly(wide))
