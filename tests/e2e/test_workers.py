"""The processes of a search."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

LAYERS = [{"name": f"layer{i}", "M": 509 + 2 * i, "K": 1021, "N": 1031} for i in range(4)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_they_end_with_their_parent(tmp_path: Path) -> None:
    layers = tmp_path / "layers.json"
    layers.write_text(json.dumps(LAYERS))
    command = [sys.executable, "-m", "effc", "map", str(layers), "--target", "eyeriss", "--jobs", "2", "--no-cache"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        assert eventually(lambda: len(children.read_text().split()) >= 3)  # one of them tracks resources
        workers = children.read_text().split()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert eventually(lambda: not any(running(pid) for pid in workers))


def running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()
