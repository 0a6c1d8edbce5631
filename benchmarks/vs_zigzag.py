"""effc beside ZigZag (LOMA): energy and CPU-seconds per layer.

    python benchmarks/vs_zigzag.py [LAYERS.json ...] [--only LAYER] [--full]

ZigZag comes from PyPI into an environment of its own under effc's cache. It gets the same sizes, energies and array;
weights go past its buffer, as its hierarchies are fixed, and it does not count a repeated read of the word that it has
just read. Its search is its default: uneven temporal mappings, at most 6 loop prime factors, 3 spatial mappings.
"""

from __future__ import annotations

import peer

ZIGZAG = peer.Peer("ZigZag", ("zigzag-dse==3.9.1", "six"), (3, 11), "zigzag_worker.py")
"""`six` is imported by ZigZag, but not among its requirements."""

if __name__ == "__main__":
    peer.main(ZIGZAG)
