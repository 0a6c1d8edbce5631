"""Programs of the emitter, damaged: what they mean is anybody's guess."""

from __future__ import annotations

import re
from random import Random

from cases import Case, random_case

from effc.backends.accel import Program, emit, print_program
from effc.backends.accel.machine import graph_of

TOKEN = re.compile(r'"[^"]*"|\w+|\s+|.', re.DOTALL)
NUMBERS = ("0", "1", "-1", "2", "3", "7", "64", "65536", "2147483647", "999999999999999999")
WORDS = (
    "loop",
    "end",
    "mac",
    "fill",
    "open",
    "drain",
    "sweep",
    "t0",
    "t1",
    "nest",
    "host",
    "unknown",
    '"float1000000"',
)


def program_of(case: Case) -> Program:
    """The program of a case."""
    return emit(graph_of(case.nest, case.schedule, case.arrays), case.target)


def small_program(random: Random) -> tuple[Case, str]:
    """A random program that is right."""
    case = random_case(random, macs=60, instances=6)
    return case, print_program(program_of(case))


def mutated(text: str, random: Random) -> str:
    """A program with some tokens, lines or characters changed."""
    for _ in range(random.choice([1, 1, 1, 2, 3, 8])):
        text = random.choice([_token, _token, _token, _line, _character])(text, random)
    return text


def _token(text: str, random: Random) -> str:
    """A token replaced: a number by another one, anything by anything else of the program."""
    tokens = TOKEN.findall(text)
    places = [place for place, token in enumerate(tokens) if not token.isspace()]
    if not places:
        return text
    numbers = [place for place in places if tokens[place].isdigit()]
    place = random.choice(numbers if numbers and random.random() < 0.6 else places)
    if random.random() < 0.1:
        del tokens[place]
    elif tokens[place].isdigit() and random.random() < 0.7:
        near = str(max(0, int(tokens[place]) + random.choice([-1, 1])))
        tokens[place] = random.choice([near, near, *NUMBERS])
    else:
        tokens[place] = random.choice([tokens[random.choice(places)], random.choice(WORDS)])
    return "".join(tokens)


def _line(text: str, random: Random) -> str:
    """A line dropped, doubled, moved, or swapped with another one."""
    lines = text.split("\n")
    here, there = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[here]
        case 1:
            lines.insert(here, lines[here])
        case 2:
            lines.insert(there, lines.pop(here))
        case _:
            lines[here], lines[there] = lines[there], lines[here]
    return "\n".join(lines)


def _character(text: str, random: Random) -> str:
    place = random.randrange(len(text) + 1)
    some = random.choice(['"', "\\", "\0", "\x0b", "\u2028", "ü", "9", "t", " ", "[", "*", "\n"])
    return text[:place] + some + text[place + random.choice([0, 1, 1]) :]
