"""The kernel where it was not compiled: a translator of the C that it is written in."""
