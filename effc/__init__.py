"""effc: compiles neural networks onto accelerators, and counts every word that moves by executing the program."""

__version__ = "0.1.0"
