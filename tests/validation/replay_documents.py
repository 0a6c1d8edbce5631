"""Files of cases, made up: a small valid one, and random machines with random mappings onto them."""

from __future__ import annotations

from math import prod
from random import Random
from typing import Any

TENSORS = ("Weights", "Inputs", "Outputs")
DIMS = "NKCPQRS"


def small_document() -> dict[str, Any]:
    """One case with loops at every level, that fits its machine without a word to spare."""
    return {
        "arch": {
            "levels_inner_to_outer": ["Spad", "GLB", "DRAM"],
            "capacity_words": {"Spad": 1, "GLB": 20},
            "pe_array": {"X_columns": 4, "Y_rows": 3},
            "word_bits": 16,
            "energy_per_word": {"MAC": 1, "spads": 0.5, "GLB": 6, "DRAM": 200},
            "bandwidth": "unlimited",
            "network_energy": 0,
            "multiple_buffering": 1,
        },
        "cases": [
            {
                "id": "one",
                "dims": {"N": 1, "K": 4, "C": 2, "P": 4, "Q": 1, "R": 3, "S": 1, "stride": 1, "groups": 2},
                "mapping": {
                    "keep": {"Spad": ["Weights"], "GLB": ["Inputs", "Outputs"], "DRAM": list(TENSORS)},
                    "temporal": {"DRAM": [["K", 2]], "GLB": [["P", 4], ["C", 2]], "Spad": []},
                    "spatial": {"X": [["K", 2]], "Y": [["R", 3]]},
                },
            }
        ],
    }


def random_document(random: Random, macs: int = 250) -> dict[str, Any]:
    """A machine of two to five levels, and one mapping onto it."""
    levels = [*("L0", "L1", "L2", "L3")[: random.randint(1, 4)], "DRAM"]
    arch = {
        "levels_inner_to_outer": levels,
        "capacity_words": {},
        "pe_array": {"X_columns": 12, "Y_rows": 12, "below": random.choice(levels)},
        "word_bits": 16,
        "energy_per_word": {"MAC": 1, "spads": random.choice([1, 0.25]), "DRAM": 200},
    }
    keep = {level: [tensor for tensor in TENSORS if random.random() < 0.7] for level in levels}
    keep["DRAM"] = list(TENSORS)
    dims = random_dims(random, macs)
    return {
        "arch": arch,
        "cases": [{"id": "random", "dims": dims, "mapping": random_mapping(random, levels, keep, dims)}],
    }


def random_dims(random: Random, macs: int) -> dict[str, int]:
    """A convolution; every other time one that has hardly more than its windows."""
    if random.random() < 0.5:
        dims = {
            "N": 1,
            "K": random.choice([1, 1, 2]),
            "C": 1,
            "P": random.choice([4, 6, 8]),
            "Q": random.choice([1, 1, 3]),
        }
        return dims | {"R": random.choice([2, 3, 4]), "S": 1, "stride": random.choice([1, 1, 1, 2])}
    while True:
        bounds = {"N": (1, 1, 2), "K": (1, 2, 4), "C": (1, 2, 3, 4), "P": (1, 3, 4, 6, 8), "Q": (1, 1, 2, 4, 6)}
        dims = {dim: random.choice(choice) for dim, choice in bounds.items()}
        dims |= {"R": random.choice([1, 2, 3]), "S": random.choice([1, 1, 3])}
        if prod(dims.values()) <= macs:
            return dims | ({"stride": random.choice([1, 2, 3])} if random.random() < 0.5 else {})


def random_mapping(
    random: Random, levels: list[str], keep: dict[str, list[str]], dims: dict[str, int]
) -> dict[str, Any]:
    """Every prime factor of every bound goes to some level, or to the array."""
    temporal: dict[str, list[list[Any]]] = {level: [] for level in levels}
    spatial: dict[str, list[list[Any]]] = {"X": [], "Y": []}
    for dim in DIMS:
        for factor in prime_factors(dims[dim]):
            axis = random.choice("XY")
            if random.random() < 0.25 and prod(f for _, f in spatial["X"] + spatial["Y"]) * factor <= 8:
                add(spatial[axis], dim, factor)
            else:
                add(temporal[random.choice(levels)], dim, factor)
    for loops in (*temporal.values(), *spatial.values()):
        random.shuffle(loops)
    return {"keep": keep, "temporal": temporal, "spatial": spatial}


def add(loops: list[list[Any]], dim: str, factor: int) -> None:
    """Add a loop, or a factor to the loop of the same dim."""
    for loop in loops:
        if loop[0] == dim:
            loop[1] *= factor
            return
    loops.append([dim, factor])


def prime_factors(number: int) -> list[int]:
    divisor = next((d for d in range(2, number + 1) if number % d == 0), None)
    return [] if divisor is None else [divisor, *prime_factors(number // divisor)]
