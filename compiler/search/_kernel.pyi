DIGEST: str

def solve(
    problem: bytes, most: float, budget: int, deadline: float
) -> tuple[bool, float, float, int, list[int], list[tuple[int, int, int, int]], dict[str, int]]: ...
