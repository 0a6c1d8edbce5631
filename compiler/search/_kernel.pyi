from collections.abc import Callable

DIGEST: str

Loops = list[tuple[int, int, int, int]]

def solve(
    problem: bytes,
    most: float,
    budget: int,
    deadline: float,
    judge: Callable[[int, list[int], Loops, float, float], float] | None = None,
) -> tuple[bool, float, float, int, list[int], Loops, dict[str, int]]: ...
