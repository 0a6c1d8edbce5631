"""The search's kernel, compiled with macros of one's own."""

from __future__ import annotations

import importlib.util
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from effc.backends.cpu.build import find_compiler
from effc.compiler.search import kernels


def compiled(folder: Path, **macros: str) -> Any:
    """Its function `solve`; the library is written to a folder."""
    library, source = folder / "_kernel.so", Path(kernels.__file__).with_name("_kernel.c")
    include = sysconfig.get_paths()["include"]
    defined = [f"-D{name}={value}" for name, value in {"DIGEST": '"none"', **macros}.items()]
    options = ["-O0", "-ffp-contract=off", "-shared", "-fPIC", "-w", *defined, f"-I{include}"]
    subprocess.run([*find_compiler(), *options, str(source), "-o", str(library), "-lm"], check=True, timeout=60)
    spec = importlib.util.spec_from_file_location("_kernel", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.solve
