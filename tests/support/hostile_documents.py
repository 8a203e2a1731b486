"""GraphQL requests that are refused, each as large as it may be."""

from collections.abc import Iterator
from itertools import count
from typing import Any

LONG = "long_and_hostile_" * 9


def hostile(mark: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield documents and variables of every kind, over and over, each with the mark in its text.

    Huge, deep, wide, with many aliases, fragments, arguments, variables or errors.
    """
    where = "query($w: JobWhere) { jobs(where: $w) { totalCount } }"
    fragments = (f"fragment F{n} on JobConnection {{ ...F{n + 1} ...F{n + 1} }}" for n in range(99))
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("{" + "jobs { nodes { client { " * 2000 + "id" + " } } }" * 2000 + "}", {}),
        ("{" + "a { " * 90 + "id" + " }" * 90 + "}", {}),
        ("{" + "__typename " * 80_000 + "}", {}),
        ("{" + " ".join(f"a{n}: jobs {{ totalCount }}" for n in range(900)) + "}", {}),
        ("{" + " ".join(f"{LONG}{n}" for n in range(1500)) + "}", {}),
        ("{ jobs {" + " ".join(f"{LONG}{n}" for n in range(1500)) + "} }", {}),
        ("{ jobs(" + " ".join(f"{LONG}{n}: 1" for n in range(900)) + ") { totalCount } }", {}),
        ("{ jobs " + " ".join(f"@{LONG}{n}" for n in range(900)) + " { totalCount } }", {}),
        ("{ jobs { ...F0 } } " + " ".join(fragments), {}),
        ('{ jobs(first: "' + "x" * 900_000 + '") { totalCount } }', {}),
        ("{ jobs(first: 1000) { nodes { backups(first: 1000) { nodes { id } } } } }", {}),
        ("query(" + " ".join(f"${LONG}{n}: Int" for n in range(900)) + ") { viewer { user } }", {}),
        (where, {"w": {"or": [1] * 300_000}}),
        (where, {"w": {f"{LONG}{n}": 1 for n in range(5000)}}),
        (where, {"w": {"description": {"eq": [LONG] * 5000}}}),
        ("query($first: Int) { jobs(first: $first) { totalCount } }", {"first": "x" * 900_000}),
    ]
    for number in count():
        for text, variables in kinds:
            yield f"{text} # {mark}{number}", variables
