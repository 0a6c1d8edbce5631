"""Passes: their registry, their textual form, and a pass from outside that is run by its name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Literal

import pytest
from small import TINY, remembered_search, small_model, write_small

import effc
from effc.compiler.cli import main
from effc.compiler.passes import registry
from effc.compiler.passes.textual import parse_pipeline, print_pipeline
from effc.compiler.pipeline import Options, stage_names

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "write-a-pass.md"


@dataclass(frozen=True)
class Everything(effc.Pass):
    """Every type of option.

    And more.
    """

    name = "everything"
    target: effc.Target
    whole: int
    real: float = 0.5
    exact: Fraction = Fraction(1, 3)
    flag: bool = False
    text: str = "a"
    choice: Literal["red", "green", "3"] = "red"
    maybe: int | None = None
    maybe_text: str | None = None

    def run(self, graph: effc.Graph) -> effc.Graph:
        return graph


@dataclass(frozen=True)
class Prefix(effc.Pass):
    """Put something before the names of nests."""

    name = "prefix"
    prefix: str = "n_"

    def run(self, graph: effc.Graph) -> effc.Graph:
        return graph.with_ops(tuple(self.renamed(op) for op in graph.ops))

    def renamed(self, op: effc.NestOp | effc.NodeOp) -> effc.NestOp | effc.NodeOp:
        return replace(op, nest=replace(op.nest, name=self.prefix + op.name)) if isinstance(op, effc.NestOp) else op


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten; what the search found is not."""
    monkeypatch.setattr("effc.compiler.search.search", remembered_search)
    registry.all_passes()
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    registry.register_pass(Everything)
    registry.register_pass(Prefix)
    yield


def tiny() -> effc.Target:
    return effc.parse_target(TINY)


def test_passes_of_the_package_are_known() -> None:
    assert {"fold-batchnorm", "dead-ops", "place-ops", "schedule"} <= set(registry.all_passes())
    assert all(registry.summary(cls) for cls in registry.all_passes().values())


def test_options_are_read_by_their_types() -> None:
    text = (
        'everything{whole=3,real=2.5,exact=2/7,flag=true,text="b \\"c\\"",choice=3,maybe=none,maybe-text=none}, prefix'
    )
    passes = parse_pipeline(text, tiny())
    assert passes == (Everything(tiny(), 3, 2.5, Fraction(2, 7), True, 'b "c"', "3"), Prefix())
    assert parse_pipeline(print_pipeline(passes), tiny()) == passes


def test_printed_pipelines_leave_defaults_out() -> None:
    assert print_pipeline(parse_pipeline("prefix{},everything{whole=1, maybe=2}", tiny())) == (
        "prefix,everything{whole=1,maybe=2}"
    )
    assert parse_pipeline(" ") == ()


ERRORS = {
    "prefx": ("no pass is called 'prefx'", "did you mean 'prefix'?"),
    "prefix{prefx=1}": ("the pass 'prefix' has no option 'prefx'", "did you mean 'prefix'?"),
    "prefix{prefix=a,prefix=b}": ("the option 'prefix' is given twice", ""),
    "prefix{prefix}": ("unexpected '}'", "`=` and a value"),
    "prefix{prefix=}": ("the option 'prefix' has no value", "a text"),
    "prefix{prefix=a": ("the text ends here", "`,` or `}`"),
    'prefix{prefix="a}': ("a quote that does not close", ""),
    "prefix prefix": ("unexpected 'prefix'", "`,` or the end"),
    "{}": ("unexpected '{'", "the name of a pass"),
    "everything": ("the pass 'everything' needs the option 'whole'", "a whole number"),
    "everything{whole=x}": ("'x' is no value of the option 'whole'", "a whole number"),
    "everything{whole=1_0}": ("'1_0' is no value of the option 'whole'", "a whole number"),
    "everything{whole=1,flag=yes}": ("'yes' is no value of the option 'flag'", "true or false"),
    "everything{whole=1,choice=blue}": ("'blue' is no value of the option 'choice'", "red or green or 3"),
    "everything{whole=1,exact=1/0}": ("'1/0' is no value of the option 'exact'", "a number"),
    'everything{whole="1"}': ("'\"1\"' is no value of the option 'whole'", "a whole number"),
    "everything{whole=1,target=x}": ("the pass 'everything' has no option 'target'", "whole, real, exact"),
}


@pytest.mark.parametrize("text", ERRORS)
def test_a_wrong_pipeline_is_shown_with_carets(text: str) -> None:
    with pytest.raises(effc.InputError) as caught:
        parse_pipeline(text, tiny())
    message = str(caught.value)
    assert message.startswith("--passes:1:")
    assert "^" in message
    for part in ERRORS[text]:
        assert part in message


def test_a_pass_that_needs_a_target_says_so() -> None:
    with pytest.raises(effc.InputError, match="the pass 'place-ops' needs a target"):
        parse_pipeline("place-ops")


def test_what_is_no_pass_is_not_registered() -> None:
    class NotFrozen(effc.Pass):
        name = "not-frozen"

    @dataclass(frozen=True)
    class Fielded(effc.Pass):
        name: str = "fielded"  # type: ignore[misc]

    @dataclass(frozen=True)
    class Idle(effc.Pass):
        name = "idle"

    @dataclass(frozen=True)
    class Odd(effc.Pass):
        name = "a,b"

        def run(self, graph: effc.Graph) -> effc.Graph:
            return graph

    @dataclass(frozen=True)
    class Prefix(Odd):
        name = "prefix"

    for cls, reason in (
        (NotFrozen, "not a frozen dataclass"),
        (Fielded, "has a field `name`"),
        (Idle, "has no method run"),
        (Odd, "has the name 'a,b'"),
        (int, "not a subclass"),
    ):
        with pytest.raises(TypeError, match=reason):
            registry.register_pass(cls)
    with pytest.raises(ValueError, match="two passes are called 'prefix'"):
        registry.register_pass(Prefix)


def test_passes_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        "theirs": EntryPoint("theirs", "outside_pass:Theirs", registry.GROUP),
        "broken": EntryPoint("broken", "no_such_module:Broken", registry.GROUP),
    }
    monkeypatch.setattr(registry, "_offered", lambda: entries)
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "unit" / "packages"))
    assert registry.find_pass("theirs").__name__ == "Theirs"
    with pytest.raises(effc.InputError, match="the pass 'broken' cannot be loaded: ModuleNotFoundError"):
        registry.find_pass("broken")


def test_a_pass_from_outside_runs_by_name(tmp_path: Path) -> None:
    compiled = effc.compile(small_model(), tiny(), passes="prefix{prefix=my_}", dump_after="prefix", dump_dir=tmp_path)
    assert [layer.name for layer in compiled.report.layers if layer.where == "accel"] == [
        "my_conv1",
        "my_conv2",
        "my_conv3",
        "my_fc",
    ]
    dumped = effc.parse_graph((tmp_path / "11-prefix.ir").read_text())
    assert dumped.nests[0].name == "my_conv1"
    assert compiled.verify().ok


def test_a_pass_that_fails_or_breaks_the_ir_is_named() -> None:
    @dataclass(frozen=True)
    class Failing(effc.Pass):
        name = "failing"

        def run(self, graph: effc.Graph) -> effc.Graph:
            raise KeyError("x")

    @dataclass(frozen=True)
    class Breaking(effc.Pass):
        name = "breaking"

        def run(self, graph: effc.Graph) -> effc.Graph:
            return graph.with_ops(graph.ops[1:])

    @dataclass(frozen=True)
    class Nothing(effc.Pass):
        name = "nothing"

        def run(self, graph: effc.Graph) -> effc.Graph:
            return None  # type: ignore[return-value]

    for item, message in (
        (Failing(), "the pass 'failing' failed: KeyError: 'x'"),
        (Breaking(), "the stage 'breaking' broke the IR"),
        (Nothing(), "the pass 'nothing' gave no graph"),
    ):
        with pytest.raises(effc.InputError, match=message):
            effc.compile(small_model(), tiny(), passes=[item])


def test_every_stage_is_dumped_and_what_is_dumped_can_be_parsed(tmp_path: Path) -> None:
    effc.compile(small_model(), tiny(), dump_after="all", dump_dir=tmp_path)
    stages = stage_names(Options(), tiny())
    suffixes = [".ir"] * (len(stages) - 1) + [".asm"]
    names = [f"{i:02}-{stage}{suffix}" for i, (stage, suffix) in enumerate(zip(stages, suffixes), 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names[:-1]:
        text = (tmp_path / name).read_text()
        assert effc.print_graph(effc.parse_graph(text)) == text


def test_debug_levels(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EFFC_DEBUG", "3")
    effc.compile(small_model(), tiny())
    shown = capsys.readouterr().err
    assert re.search(r"effc: schedule +\d+\.\d+ s", shown)
    assert "# 14-schedule\ngraph" in shown


def test_the_page_that_teaches_to_write_a_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = DOC.read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code) == 1
    (tmp_path / "my_pass.py").write_text(code[0])
    model, target = write_small(tmp_path)
    passes = "name-by-shape{min-words=30}"
    load = ["--load", str(tmp_path / "my_pass.py")]

    assert main(["passes", "name-by-shape", *load]) == 0
    shown = capsys.readouterr().out
    assert shown in text

    dumps = ["--dump-after", "name-by-shape", "--dump-dir", str(tmp_path)]
    assert main(["compile", str(model), "--target", str(target), "--passes", passes, *load, *dumps, "--jobs", "1"]) == 0
    assert "conv1_1x4x3x3" in capsys.readouterr().out

    dumped = tmp_path / "11-name-by-shape.ir"
    assert main(["opt", str(dumped), *load, "--passes", "name-by-shape{separator=by}"]) == 0
    assert "nest conv1_1x4x3x3_1by4by3by3 (" in capsys.readouterr().out

    entry = tomllib.loads(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0])
    assert list(entry["project"]["entry-points"]) == [registry.GROUP]
