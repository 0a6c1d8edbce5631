"""Builds effc as setuptools does. Where there is no C compiler, that of the PyPI package ziglang compiles the kernel.

A compiler is what CC says, or what Python was built with. `CC=false pip install .` installs without the kernel.
"""

import os
import shlex
import shutil
import sys
import sysconfig
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403

MISSING = sys.platform != "win32" and not shutil.which(
    shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
)
"""Whether a compiler is; on Windows setuptools looks for it in places of its own."""

if MISSING:
    os.environ["CC"] = f"{shlex.quote(sys.executable)} -m ziglang cc -mcpu=baseline"


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *["ziglang"] * MISSING]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    return [*build_meta.get_requires_for_build_editable(config_settings), *["ziglang"] * MISSING]
