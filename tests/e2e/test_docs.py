"""The commands of the README and of docs/getting-started.md print what these say.

`--update-golden` writes into getting-started.md what its commands print.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Golden

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "getting-started.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder that sees the models' scripts."""
    folder = tmp_path_factory.mktemp("getting-started")
    (folder / "models").symlink_to(ROOT / "models")
    return folder


def run(command: str, folder: Path, columns: int = 100) -> str:
    """What a command prints, run where the page's reader would run it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": str(columns)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


def steps(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that the page shows below it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def shown(expected: list[str], actual: list[str]) -> list[str]:
    """The lines that belong on the page: those that are there where they match, `...` matching anything."""
    padded = [*expected, *[""] * len(actual)]
    return [
        old if re.fullmatch(re.escape(old).replace(r"\.\.\.", ".*"), new) else new for old, new in zip(padded, actual)
    ]


def test_the_commands_print_what_the_page_says(folder: Path, golden: Golden) -> None:
    def executed(match: re.Match[str]) -> str:
        lines = []
        for command, expected in steps(match[1]):
            lines += [f"$ {command}", *shown(expected, run(command, folder).splitlines())]
        return "\n".join(["```console", *lines, "```"])

    golden(PAGE, BLOCK.sub(executed, PAGE.read_text(encoding="utf-8")))


def test_the_python_examples_hold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("python models/build.py digits", folder)
    monkeypatch.chdir(folder)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert not failed
    assert tried > 5


def between(excerpt: str) -> str:
    """A pattern for a text that has the lines of ``excerpt``, `...` standing for anything."""
    return "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in excerpt.splitlines()
    )


def test_an_excerpt_leaves_out_lines_and_parts_of_lines() -> None:
    assert re.search(between("a\n...\nd 1... e\n"), "x\na\nb\nc\n\nd 12 e\n")
    assert not re.search(between("a\n...\nd 1... e\n"), "x\na\nb\nc\nd 2 e\n")


@pytest.mark.validate
def test_the_demo_prints_what_the_readme_says(folder: Path) -> None:
    text = README.read_text(encoding="utf-8")
    excerpt = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    run("python models/build.py resnet18", folder)
    printed = run("effc compile build/models/resnet18.onnx --target eyeriss.hw --verify", folder, columns=130)
    assert re.search(between(excerpt), printed)
