"""Files are written whole, and what is no file is written to, not replaced."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from effc.compiler.comparison import relative_error
from effc.compiler.files import check_writable, write_text


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    check_writable(pipe)
    write_text(pipe, "report")
    reader.join(10)
    assert read == ["report"]
    assert pipe.is_fifo()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_subnormal_numbers_have_fewer_digits() -> None:
    tiny = np.array([2.8e-43], np.float32)
    assert relative_error(tiny, np.nextafter(tiny, np.float32(1))) < 1e-5
    assert relative_error(np.array([1.0]), np.array([1.0 + 2e-5])) > 1e-5
    assert relative_error(np.array([np.inf]), np.array([1.0])) == float("inf")
    assert relative_error(np.array([2e-7]), np.array([1e-7])) == pytest.approx(1)
    assert relative_error(np.array([2e-7]), np.array([1e-7]), 1.0) == pytest.approx(1e-7)
