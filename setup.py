"""The optional compiled kernel of the search; everything else is in pyproject.toml.

If it cannot be compiled, the installation goes on, and searches are slower; see zig_build.py. The kernel knows
the digest of its sources, so that one that was built from others is noticed (`compiler/search/kernels.py`).
"""

import sys
from hashlib import sha256
from pathlib import Path

from setuptools import Extension, setup

KERNEL = "compiler/search/_kernel.c"
HEADERS = [str(path) for path in sorted(Path("compiler/search/kernel").glob("*.h"))]
DIGEST = sha256(b"".join(Path(path).read_bytes() for path in [KERNEL, *HEADERS])).hexdigest()
FLAGS = ["/O2"] if sys.platform == "win32" else ["-O3", "-ffp-contract=off"]

setup(
    ext_modules=[
        Extension(
            "effc.compiler.search._kernel",
            [KERNEL],
            depends=HEADERS,
            define_macros=[("DIGEST", f'"{DIGEST}"')],
            extra_compile_args=FLAGS,
            optional=True,
        )
    ]
)
