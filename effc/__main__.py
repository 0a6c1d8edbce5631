"""``python -m effc``."""

from __future__ import annotations

import sys

from effc.compiler.cli import main

if __name__ == "__main__":
    sys.exit(main())
