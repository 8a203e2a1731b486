"""What operations cost, kept in a folder while the tests run, in whichever process."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .operations import OPERATIONS

FOLDER = "GATEWAY_TEST_COSTS"
"""The variable that names the folder; nothing is kept without it."""

OF = "GATEWAY_TEST_COSTS_OF"
"""The variable that tells whose costs are wanted: `freezer-api`; else the gateway's."""


@dataclass(frozen=True)
class Cost:
    """Requests, and the SQL statements of all of them."""

    requests: int
    statements: int


Costs = Mapping[str, Mapping[str, Cost]]
"""Of an operation: the cost by `rest`, and by `graphql`."""


def of_freezer_api() -> bool:
    """Tell whether the costs of freezer-api are wanted, in place of the gateway's."""
    return os.environ.get(OF) == "freezer-api"


def keep(operation: str, kind: str, cost: Cost) -> None:
    """Keep what an operation of the table cost, by `rest` or `graphql`."""
    assert operation in OPERATIONS, f"{operation} isn't in the table of operations"
    if folder := os.environ.get(FOLDER):
        (Path(folder) / f"{operation}.{kind}.json").write_text(json.dumps(asdict(cost)))


def kept(folder: Path) -> Costs:
    """Return everything that was kept there."""
    costs: dict[str, dict[str, Cost]] = {}
    for file in folder.glob("*.json"):
        operation, kind = file.stem.split(".")
        costs.setdefault(operation, {})[kind] = Cost(**json.loads(file.read_text()))
    return costs
