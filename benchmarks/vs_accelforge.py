"""effc beside AccelForge (the mapper TCM): energy and CPU-seconds per layer.

    python benchmarks/vs_accelforge.py [LAYERS.json ...] [--only LAYER] [--full] [--python python3.12]

AccelForge comes from PyPI into an environment of its own under effc's cache; a package that it needs runs on Python
3.12 or newer only. It gets the same sizes, energies and array, one process, the order of storage as it takes it by
default. A 3x3 convolution may take it longer than the time that it is given, see --timeout.
"""

from __future__ import annotations

import peer

ACCELFORGE = peer.Peer("AccelForge", ("accelforge==1.0.467",), (3, 12), "accelforge_worker.py")

if __name__ == "__main__":
    peer.main(ACCELFORGE)
