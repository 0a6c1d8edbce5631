"""The house: what is packaged, who imports whom, and that no machine left its traces."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"effc": "effc", "compiler": "effc.compiler", "ir": "effc.ir", "backends": "effc.backends"}
SLOW = ("numpy", "onnx", "onnxruntime", "lark", "rich", "sqlite3")

FORBIDDEN = {
    "ir": ("effc.compiler", "effc.backends"),
    "compiler/target": ("effc.compiler.cost", "effc.compiler.search", "effc.backends"),
    "compiler/cost": ("effc.compiler.search", "effc.backends"),
    "compiler/search": ("effc.backends",),
    "backends": ("effc.compiler.cost", "effc.compiler.search", "effc.compiler.report", "effc.compiler.pipeline"),
}
"""What a room must not import: data flows one way, and the machine does not know the model that it checks."""


def sources(room: str) -> list[Path]:
    return [path for path in sorted((ROOT / room).rglob("*.py")) if not path.parent.is_symlink()]


def package_folders() -> Iterator[str]:
    for room, package in ROOMS.items():
        for init in (ROOT / room).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / room).parts
            if room != "effc" or not parts:
                yield ".".join((package, *parts))


def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_packages_listed_are_the_folders_on_disk() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(package_folders())


@pytest.mark.parametrize("room", FORBIDDEN)
def test_nobody_imports_against_the_flow(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(room)
        for name in imported(path)
        if name.startswith(FORBIDDEN[room])
    ]
    assert not wrong


@pytest.mark.parametrize("statement", ["import effc", "from effc.compiler.cli import main; main(['--help'])"])
def test_nothing_slow_is_imported_before_it_is_needed(statement: str) -> None:
    code = (
        f"import sys\ntry:\n    {statement}\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('loaded:', [name for name in {SLOW} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_no_file_names_a_folder_of_one_machine() -> None:
    home = re.compile(r"(?<![\w.:/])/(?:home|Users|root|work|mnt|opt)/\w")
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if home.search(line) or str(ROOT) in line
    ]
    assert not wrong


def test_links_between_documents_lead_somewhere() -> None:
    link = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    wrong = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in link.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not wrong


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@pytest.mark.validate
def test_a_wheel_built_from_an_sdist_has_every_file(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    copy = tmp_path / "copy"
    for path in tracked():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for room in ("compiler", "ir", "backends"):
        (copy / "effc" / room).symlink_to(f"../{room}")
    build(copy, "sdist", tmp_path)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    build(next((tmp_path / "unpacked").iterdir()), "wheel", tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    needed = {
        f"{package.replace('.', '/')}/{path.relative_to(ROOT / room).as_posix()}"
        for room, package in ROOMS.items()
        for path in tracked()
        if path.is_relative_to(ROOT / room) and path.suffix in (".py", ".lark", ".hw", ".typed", ".h")
    }
    assert needed <= names
    assert {Path(name).suffix for name in names - needed} <= {".c", ".pyi", ".so", ".pyd"}  # of the compiled kernel


def build(folder: Path, what: str, output: Path) -> None:
    code = f"from setuptools import build_meta; build_meta.build_{what}({str(output)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
