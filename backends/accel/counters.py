"""Counters, under the name the backends use."""

from effc.ir.counters import Counters as Counters
