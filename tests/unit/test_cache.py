"""The cache of solved nests: killed, damaged, locked or shared, it never gives a wrong or a partial answer."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

import effc
from effc.compiler.errors import CacheWarning
from effc.compiler.search import cache as module
from effc.compiler.search import task as task_module
from effc.compiler.search.cache import FILE, Cache
from effc.compiler.search.result import Best
from effc.compiler.search.task import Task
from effc.ir import nests

TARGET = effc.load_target("eyeriss_like")
TASKS = [Task(nests.gemm(m, 6, 10), TARGET) for m in range(2, 8)]


@pytest.fixture(scope="module")
def answers() -> list[Best]:
    return [effc.search(task.nest, task.target) for task in TASKS]


@pytest.fixture
def full(tmp_path: Path, answers: list[Best]) -> Path:
    """A folder with all answers."""
    for task, answer in zip(TASKS, answers):
        Cache(tmp_path).keep(task, answer)
    return tmp_path


def timeless(best: Best) -> Best:
    return replace(best, certificate=replace(best.certificate, search_s=0.0))


def test_what_is_kept_is_found(full: Path, answers: list[Best], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effc.compiler.search.search", lambda *rest, **options: pytest.fail("searched again"))
    for task, answer in zip(TASKS, answers):
        assert effc.search(task.nest, TARGET, cache=full) == timeless(answer)


@pytest.mark.parametrize(
    "other",
    [
        {"nest": nests.gemm(2, 6, 11)},
        {"target": replace(TARGET, word_bits=8)},
        {"objective": "dram"},
        {"perfect_factors": True},
    ],
)
def test_another_task_is_another_entry(full: Path, other: dict[str, object]) -> None:
    assert Cache(full).find(TASKS[0]) is not None
    assert Cache(full).find(replace(TASKS[0], **other)) is None  # type: ignore[arg-type]


def test_a_name_is_no_part_of_a_task(full: Path) -> None:
    renamed = replace(TASKS[0].nest, name="other")
    found = Cache(full).find(replace(TASKS[0], nest=renamed))
    assert found is not None
    assert found.nest == renamed


def test_another_version_of_the_search_searches_again(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_module, "version", lambda: "another")
    assert Cache(full).find(TASKS[0]) is None


def test_the_version_is_that_of_the_code() -> None:
    names = {path.name for path in task_module.code()}
    assert {"find.py", "kernels.py", "_kernel.c", "counts.py", "nest.py", "model.py", "ir.lark"} <= names


def test_a_search_out_of_time_is_not_kept(tmp_path: Path, answers: list[Best]) -> None:
    bounded = replace(answers[0], certificate=replace(answers[0].certificate, status="bounded"))
    cache = Cache(tmp_path)
    cache.keep(TASKS[0], bounded, limited=True)
    assert not cache.path.exists()


def test_an_optimum_found_in_time_is_kept_apart(tmp_path: Path, answers: list[Best]) -> None:
    """Another optimum may be the first without the limit."""
    found = answers[0].certificate
    optimal = replace(answers[0], certificate=replace(found, status="optimal", lower_bound=found.value))
    Cache(tmp_path).keep(TASKS[0], optimal, limited=True)
    assert Cache(tmp_path).find(TASKS[0]) is None
    assert Cache(tmp_path).find(TASKS[0], limited=True) == timeless(optimal)


@pytest.mark.parametrize(
    "change",
    [
        {"value": "1"},
        {"value": "1/0"},
        {"lower_bound": "99999999"},
        {"schedule": "for M in 0..2"},
        {"schedule": [["for", "M", 2]]},
        {"schedule": [["for", "M", "2"]]},
        {"schedule": [["loop", "M", 1]]},
        {"schedule": []},
        {"schedule": 7},
        {"value": None},
    ],
)
def test_an_entry_that_is_not_true_is_not_there(
    full: Path, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if its checksum is right."""
    with closing(sqlite3.connect(full / FILE)) as connection, connection:
        entry = json.loads(connection.execute("SELECT entry FROM solved WHERE key = ?", (TASKS[0].key,)).fetchone()[0])
        changed = json.dumps({**entry, **change}).encode()
        values = (changed, module._checksum(TASKS[0].key, changed), TASKS[0].key)
        connection.execute("UPDATE solved SET entry = ?, checksum = ? WHERE key = ?", values)
    with warnings.catch_warnings(action="error"):
        assert Cache(full).find(TASKS[0]) is None
        assert Cache(full).find(TASKS[1]) is not None


def test_random_damage_never_gives_another_answer(full: Path, answers: list[Best], tmp_path: Path) -> None:
    good, random, lost = (full / FILE).read_bytes(), Random(1), 0
    for number in range(30):
        damaged = bytearray(good)
        for _ in range(random.choice([1, 3, 300])):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / FILE).write_bytes(damaged[: random.choice([len(good), random.randrange(len(good))])])
        cache = Cache(folder)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for task, answer in zip(TASKS, answers):
                found = cache.find(task)
                assert found in (None, timeless(answer))
                lost += found is None
                cache.keep(task, answer)
        assert len(caught) <= 1
        assert all(issubclass(warning.category, CacheWarning) for warning in caught)
    assert 30 < lost < 30 * len(TASKS)


@pytest.mark.parametrize("content", [b"", b"no database", bytes(5000)])
def test_a_file_that_is_no_cache(tmp_path: Path, answers: list[Best], content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with warnings.catch_warnings(record=True):
        for task, answer in zip(TASKS, answers):
            assert timeless(effc.search(task.nest, TARGET, cache=tmp_path)) == timeless(answer)


def test_a_folder_that_cannot_be_made(tmp_path: Path, answers: list[Best]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(CacheWarning, match="is not used") as caught:
        assert timeless(effc.search(TASKS[0].nest, TARGET, cache=tmp_path / "file")) == timeless(answers[0])
    assert len(caught) == 1


def test_a_file_that_another_process_holds(full: Path, answers: list[Best], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with closing(sqlite3.connect(full / FILE, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        cache = Cache(full)
        with pytest.warns(CacheWarning, match="locked") as caught:
            assert [cache.find(task) for task in TASKS] == [None] * len(TASKS)
        assert len(caught) == 1
        holder.execute("ROLLBACK")
    assert Cache(full).find(TASKS[0]) == timeless(answers[0])


WRITER = """
import sys
from effc.compiler.search.cache import Cache
from effc.compiler.search import search
from effc.compiler.search.task import Task
from effc.compiler.target import load_target
from effc.ir import nests

tasks = [Task(nests.gemm(m, 6, 10), load_target("eyeriss_like")) for m in range(2, 8)]
answers = [search(task.nest, task.target) for task in tasks]
cache = Cache(sys.argv[1])
print("ready", flush=True)
for turn in range(int(sys.argv[2])):
    for task, answer in zip(tasks, answers):
        found = cache.find(task)
        assert found is None or (found.schedule, found.counts) == (answer.schedule, answer.counts)
        cache.keep(task, answer)
"""


def writer(folder: Path, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", WRITER, str(folder), str(turns)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def writers() -> Iterator[list[subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_while_writing(tmp_path: Path, answers: list[Best], writers: list[subprocess.Popen[str]]) -> None:
    random = Random(2)
    writers += [writer(tmp_path, 10**6) for _ in range(2)]
    for process in writers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.02 + 0.1 * random.random())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with warnings.catch_warnings(action="error"):
            cache = Cache(tmp_path)
            found = [cache.find(task) for task in TASKS]
            assert all(best in (None, timeless(answer)) for best, answer in zip(found, answers))
            assert any(found)


def test_shared_by_four_processes(tmp_path: Path, answers: list[Best], writers: list[subprocess.Popen[str]]) -> None:
    """Each reads and writes all entries; whoever reads another answer than its own fails, warnings included."""
    writers += [writer(tmp_path, 3) for _ in range(4)]
    for process in writers:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert [Cache(tmp_path).find(task) for task in TASKS] == [timeless(answer) for answer in answers]


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/effc"),
        ("linux", {"HOME": "/h"}, "/h/.cache/effc"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Caches/effc"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/effc/Cache"),
        ("win32", {"LOCALAPPDATA": "/l", "EFFC_CACHE_DIR": "/c"}, "/c"),
    ],
)
def test_the_folder(platform: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "EFFC_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert module.cache_folder() == Path(folder)


def test_values_are_exact(full: Path, answers: list[Best]) -> None:
    found = Cache(full).find(TASKS[0])
    assert found is not None
    assert isinstance(found.certificate.value, Fraction)
    assert found.certificate.value == answers[0].certificate.value
