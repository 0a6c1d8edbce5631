"""The optional compiled kernel of the search; everything else is in pyproject.toml.

Without a compiler the installation goes on, and the search takes the same path in Python.
"""

import sys
from pathlib import Path

from setuptools import Extension, setup

HEADERS = [str(path) for path in sorted(Path("compiler/search/kernel").glob("*.h"))]
FLAGS = ["/O2"] if sys.platform == "win32" else ["-O3", "-ffp-contract=off"]

setup(
    ext_modules=[
        Extension(
            "effc.compiler.search._kernel",
            ["compiler/search/_kernel.c"],
            depends=HEADERS,
            extra_compile_args=FLAGS,
            optional=True,
        )
    ]
)
