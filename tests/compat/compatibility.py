"""`docs/compatibility.md`: its tables of costs and its GraphQL documents, written from a run.

What stands there outside of the markers is written by hand.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from .ledger import Cost, Costs
from .operations import OPERATIONS, Operation, document

FILE = Path(__file__).parents[2] / "docs" / "compatibility.md"
FREEZER_API = Path(__file__).parent / "freezer-api-costs.json"
"""What the operations cost with freezer-api, as `make freezer-api-costs` has measured."""

UNKNOWN = "not measured"


def written(costs: Costs) -> str:
    """Return the document with these costs in it."""
    text = FILE.read_text()
    theirs = {name: Cost(**cost) for name, cost in json.loads(FREEZER_API.read_text()).items()}
    for name, lines in (("costs", _tables(costs, theirs)), ("documents", documents())):
        before, opening, rest = text.partition(f"<!-- {name} -->\n")
        _, closing, after = rest.partition(f"<!-- end of {name} -->\n")
        assert opening, f"{FILE} has no <!-- {name} -->"
        assert closing, f"{FILE} has no <!-- end of {name} -->"
        text = before + opening + "\n".join(lines) + "\n" + closing + after
    return text


def keep_freezer_api(costs: Costs) -> None:
    """Write down what the operations cost with freezer-api."""
    kept = {name: asdict(costs[name]["rest"]) for name in OPERATIONS if name in costs}
    FREEZER_API.write_text(json.dumps(kept, indent=2) + "\n")


def unmeasured(costs: Costs) -> list[str]:
    """Return the operations that a run has not measured."""
    return [name for name in OPERATIONS if name not in costs]


def _programs() -> Iterator[tuple[str, dict[str, Operation]]]:
    for program, operations in groupby(OPERATIONS.items(), lambda item: item[1].program):
        yield program, dict(operations)


def _tables(costs: Costs, theirs: Mapping[str, Cost]) -> Iterator[str]:
    for program, operations in _programs():
        yield f"\n### {program}\n"
        yield "| operation | REST, this gateway | REST, freezer-api 19 | one GraphQL request |"
        yield "|---|---|---|---|"
        for name, operation in operations.items():
            ours = costs.get(name, {})
            rest = _shown(ours.get("rest"))
            them = _shown(theirs.get(name))
            graphql = _statements(ours.get("graphql")) if document(name) else "there is none"
            yield f"| {operation.what} | {rest} | {them} | {graphql} |"
    yield ""


def documents() -> Iterator[str]:
    """Yield the lines that show the GraphQL documents."""
    for program, operations in _programs():
        yield f"\n#### {program}"
        for name, operation in operations.items():
            if text := document(name):
                yield f"\n{operation.what}:\n\n```graphql\n{text}```"
    yield ""


def _shown(cost: Cost | None) -> str:
    if cost is None:
        return UNKNOWN
    return f"{_many(cost.requests, 'request')}, {_many(cost.statements, 'statement')}"


def _statements(cost: Cost | None) -> str:
    return UNKNOWN if cost is None else _many(cost.statements, "statement")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
