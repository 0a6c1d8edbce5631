"""What the command line accepts. Whatever it does not is one ``InputError``, with what might have been meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, NoReturn

from effc.compiler.errors import InputError

VERBS = {
    "compile": "cli_compile:compile_",
    "run": "cli_artefact:run",
    "verify": "cli_artefact:verify",
    "report": "cli_artefact:report",
    "show": "cli_artefact:show",
    "asm": "cli_asm:asm",
    "disasm": "cli_asm:disasm",
    "opt": "cli_opt:opt",
    "map": "cli_map:map_",
    "evaluate": "cli_map:evaluate",
    "dataflow": "cli_dataflow:dataflow",
    "replay": "cli_replay:replay",
    "targets": "cli_lists:targets",
    "passes": "cli_lists:passes",
    "ops": "cli_lists:ops",
}
"""The verbs, and the functions that do them."""

OBJECTIVES = ("energy", "latency", "edp", "dram", "pareto")

EPILOG = """\
exit codes:
  0    done
  1    a verification failed
  2    the input was wrong: one message says what, where, and what to do
  130  interrupted; no partial file is left behind

environment:
  EFFC_CACHE_DIR    the folder where solved nests are kept
  EFFC_DEBUG=1|2|3  time the stages; verify the IR between them; both, and print the IR
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the user's errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise usage_error(self, message)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of one command."""
    parser = build_parser()
    if not argv:
        raise InputError("no command", "effc", ", ".join(VERBS), "`effc --help` describes them")
    _check_options(parser, argv)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        sub = _verbs_of(parser)[arguments.verb]
        raise InputError(f"unexpected argument '{unknown[0]}'", sub.prog, remedy=_usage(sub))
    return arguments


def _check_options(parser: Parser, argv: Sequence[str]) -> None:
    """Name an unknown option before argparse misses another one that it may have been meant for."""
    sub = _verbs_of(parser).get(argv[0])
    if sub is None:
        return
    known = [option for action in sub._actions for option in action.option_strings]
    for word in argv[1:]:
        name = word.split("=")[0]
        if word == "--":
            return
        if re.match(r"--?[A-Za-z]", word) and name not in known:
            raise InputError(f"unknown option '{name}'", sub.prog, remedy=_meant(name, known) or _usage(sub))


def usage_error(parser: argparse.ArgumentParser, message: str) -> InputError:
    """What argparse found wrong, as a user's error."""
    choice = re.match(r"argument (.+?): invalid choice: '?(.*?)'? \(choose from (.*)\)", message, re.DOTALL)
    if choice:
        known = [word.strip().strip("'") for word in choice[3].split(",")]
        what = "command" if choice[1] == "COMMAND" else f"value of {choice[1]}"
        return InputError(f"unknown {what}: '{choice[2]}'", parser.prog, ", ".join(known), _meant(choice[2], known))
    missing = re.match(r"the following arguments are required: (.*)", message)
    if missing:
        return InputError(f"missing: {missing[1]}", parser.prog, remedy=_usage(parser))
    named = re.match(r"argument (.+?): (.*)", message, re.DOTALL)
    if named:
        return InputError(f"{named[1]}: {named[2]}", parser.prog, remedy=_usage(parser))
    return InputError(message, parser.prog, remedy=_usage(parser))


def _verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    action = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(action.choices)


def _meant(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f"did you mean '{close[0]}'?" if close else ""


def _usage(parser: argparse.ArgumentParser) -> str:
    return f"`{parser.prog} --help` shows what it takes"


def build_parser() -> Parser:
    """The whole command line."""
    import effc

    parser = Parser(
        prog="effc",
        description="Compile neural networks onto accelerators, and count every word that moves.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"effc {effc.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True, parser_class=Parser)
    for name, add in _ADD.items():
        sub = verbs.add_parser(name, help=_HELP[name], description=_HELP[name] + ".")
        add(sub)
    return parser


_HELP = {
    "compile": "compile an ONNX model for a target and report what it costs",
    "run": "run a compiled model on the simulated machine",
    "verify": "compare a compiled model with onnxruntime, and its counters with the cost model",
    "report": "show the report of a compiled model",
    "show": "show a compiled model, or one layer, as loop nests, as IR or as assembly",
    "asm": "turn the text of a program into its binary form",
    "disasm": "print a program, from its binary form or from a compiled model",
    "opt": "run passes over the text of a graph",
    "map": "find schedules for a list of layers, without any ONNX model",
    "evaluate": "count and cost a nest with its loops, given as text",
    "dataflow": "cost published row-stationary mappings, beside what was published of them",
    "replay": "count mappings that another tool made",
    "targets": "list the bundled targets, or print one",
    "passes": "list the passes and their options",
    "ops": "list what becomes of the operators of ONNX",
}


def _compile(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL.onnx", help="the model")
    _target(parser)
    parser.add_argument("-o", "--output", metavar="OUT.effx", help="write the compiled model there")
    _search(parser)
    parser.add_argument("--backend", choices=("accel", "cpu", "gpu"), default="accel", help="what runs it")
    parser.add_argument("--numeric", choices=("reference", "target"), default="reference", help="the arithmetic")
    parser.add_argument("--batch", type=_positive, default=1, metavar="N", help="the size of a symbolic batch dim")
    parser.add_argument(
        "--dim",
        type=_dim,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the size of a symbolic dim; with several, as in seq=128,512, the model is compiled for each",
    )
    parser.add_argument("--verify", action="store_true", help="run the program and compare, as `effc verify` does")
    parser.add_argument("--data", metavar="D.npz", help=DATA)
    _reports(parser)
    _dumps(parser)
    parser.add_argument("--passes", default="", metavar="PIPELINE", help="passes to run besides the standard ones")
    _load(parser)


def _run(parser: Parser) -> None:
    _artefact(parser)
    parser.add_argument("--input", metavar="X.npz", help="the inputs, by their names in the model")
    parser.add_argument("-o", "--output", metavar="Y.npz", help="write the outputs there")
    parser.add_argument("--json", metavar="FILE", help="write counters and outputs' shapes there (- is stdout)")
    parser.add_argument("--trace", metavar="T.json", help="write what every engine does when, for ui.perfetto.dev")
    parser.add_argument(
        "--mode", choices=("functional", "cycle"), default="functional", help="cycle: also the time of every layer"
    )


def _verify(parser: Parser) -> None:
    _artefact(parser)
    parser.add_argument("--input", metavar="X.npz", help="inputs; without it, random ones")
    parser.add_argument("--seed", type=_whole, default=0, metavar="N", help="of the random inputs")
    parser.add_argument("--json", metavar="FILE", help="write every comparison there (- is stdout)")


DATA = "measure the accuracy on these samples: an array for each input, with more samples than the batch, and `labels`"


def _report(parser: Parser) -> None:
    _artefact(parser)
    parser.add_argument("--data", metavar="D.npz", help=DATA)
    parser.add_argument(
        "--input", metavar="X.npz", help="run it with these inputs, and report the zeros of all tensors"
    )
    _reports(parser)


def _show(parser: Parser) -> None:
    _artefact(parser)
    parser.add_argument("--layer", metavar="NAME", help="one layer, by its name or that of its ONNX node")
    parser.add_argument("--as", dest="form", choices=("loops", "ir", "asm"), default="loops", help="the form")


def _asm(parser: Parser) -> None:
    parser.add_argument("program", metavar="PROGRAM.asm", help="the text of a program (- is stdin)")
    parser.add_argument("-o", "--output", metavar="PROGRAM.bin", required=True, help="write the binary form there")


def _disasm(parser: Parser) -> None:
    parser.add_argument("program", metavar="PROGRAM.bin|OUT.effx", help="what `effc asm` or `effc compile -o` wrote")
    parser.add_argument("-o", "--output", metavar="PROGRAM.asm", help="write the text there instead of stdout")


def _opt(parser: Parser) -> None:
    parser.add_argument("graph", metavar="IR.txt", help="the text of a graph (- is stdin)")
    parser.add_argument("--passes", required=True, metavar="PIPELINE", help="PASS,PASS{option=value},...")
    parser.add_argument("--target", metavar="TARGET", help="for passes that need one: a .hw file, or a bundled target")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the text there instead of stdout")
    _dumps(parser)
    _load(parser)


def _map(parser: Parser) -> None:
    parser.add_argument("layers", metavar="LAYERS.json", help="a list of convolutions and matrix products")
    _target(parser)
    _search(parser)
    parser.add_argument("--perfect-factors", action="store_true", help="only divisors, no sliding windows")
    parser.add_argument("--json", metavar="FILE", help="write the layers there (- is stdout)")
    parser.add_argument("--csv", metavar="FILE", help="write them, or the points of their fronts, as CSV (- is stdout)")


def _evaluate(parser: Parser) -> None:
    parser.add_argument("nest", metavar="NEST.txt", help="a nest with its loops, as `effc show` prints it (- is stdin)")
    _target(parser)
    parser.add_argument(
        "--density",
        type=_density,
        action="append",
        default=[],
        metavar="OPERAND=SHARE",
        help="the share of an operand's words that are not zero, as I=0.4: what the target then gates and compresses",
    )
    parser.add_argument("--json", metavar="FILE", help="write the layer there (- is stdout)")


def _dataflow(parser: Parser) -> None:
    parser.add_argument("table", metavar="TABLE.json", help="layers with the parameters m, n, e, p, q, r, t")
    parser.add_argument("--target", default="eyeriss", metavar="TARGET", help="one that is built like `eyeriss`")
    parser.add_argument("--json", metavar="FILE", help="write the figures there (- is stdout)")


def _replay(parser: Parser) -> None:
    parser.add_argument("cases", metavar="CASES.json", help="a machine, and nests with mappings onto it")
    parser.add_argument("--convention", choices=("effc", "timeloop"), default="effc", help="what is counted, and how")
    parser.add_argument(
        "--steps",
        choices=("auto", "all", "first"),
        default="auto",
        help="which steps Timeloop's convention looks at: all, or the first of each loop, as Timeloop does; "
        "auto: all of a small nest",
    )
    parser.add_argument("--json", metavar="FILE", help="write the counts there (- is stdout)")


def _targets(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="print this one")


def _passes(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="only this one")
    _load(parser)


def _ops(parser: Parser) -> None:
    """No arguments."""


def _artefact(parser: Parser) -> None:
    parser.add_argument("artefact", metavar="OUT.effx", help="what `effc compile -o` wrote")


def _target(parser: Parser) -> None:
    parser.add_argument("--target", required=True, metavar="TARGET", help="a .hw file, or the name of a bundled target")


def _search(parser: Parser) -> None:
    parser.add_argument("--objective", choices=OBJECTIVES, default="energy", help="what the schedules minimise")
    parser.add_argument(
        "--constrain",
        metavar="FILE|PRESET",
        help="only schedules of a dataflow (weight-stationary, ...) or as a file says",
    )
    parser.add_argument("--time-limit", type=_seconds, metavar="S", help="seconds that the search may take in all")
    parser.add_argument("--jobs", type=_positive, metavar="N", help="processes that search; as many as there are CPUs")
    parser.add_argument("--no-cache", action="store_true", help="search again, and keep nothing on disk")
    parser.add_argument("--cache-dir", metavar="DIR", help="where solved nests are kept, instead of the user's cache")


def _reports(parser: Parser) -> None:
    for form, what in (("json", "report"), ("csv", "layers"), ("html", "report")):
        parser.add_argument(f"--{form}", metavar="FILE", help=f"write the {what} as {form.upper()} (- is stdout)")


def _dumps(parser: Parser) -> None:
    parser.add_argument("--dump-after", default="", metavar="STAGE|all", help="write the IR after a stage")
    parser.add_argument("--dump-dir", metavar="DIR", help="where to; ./effc-dumps if not given")


def _load(parser: Parser) -> None:
    parser.add_argument(
        "--load", action="append", default=[], metavar="FILE.py", help="run this Python file first: it registers passes"
    )


_ADD: dict[str, Callable[[Parser], None]] = {
    "compile": _compile,
    "run": _run,
    "verify": _verify,
    "report": _report,
    "show": _show,
    "asm": _asm,
    "disasm": _disasm,
    "opt": _opt,
    "map": _map,
    "evaluate": _evaluate,
    "dataflow": _dataflow,
    "replay": _replay,
    "targets": _targets,
    "passes": _passes,
    "ops": _ops,
}


def _positive(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is less than 1")
    return value


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds") from None
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"'{text}' is no positive number of seconds")
    return value


def _dim(text: str) -> tuple[str, list[int]]:
    name, equals, values = text.rpartition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return name, [_size(name, value) for value in values.split(",")]


def _density(text: str) -> tuple[str, Fraction]:
    name, equals, share = text.partition("=")
    try:
        value = Fraction(share) if equals and name else None
    except (ValueError, ZeroDivisionError):
        value = None
    if value is None or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not OPERAND=SHARE, a share from 0 to 1")
    return name, value


def _size(name: str, text: str) -> int:
    if text.startswith("-") and text[1:].isdigit():
        raise argparse.ArgumentTypeError(f"{name} is {text}: a size is 0 or more")
    return _whole(text)
