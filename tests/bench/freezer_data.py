"""The catalogue in freezer-api's own tables, in the format that it writes itself."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.catalogue.vocabularies import CAPABILITIES

from .catalogue import Catalogue
from .mariadb import MariaDB

COLUMNS = {
    "clients": "id project_id user_id client_id hostname uuid is_central supported_actions "
    "supported_modes supported_storages supported_engines",
    "jobs": "id project_id user_id schedule client_id session_id session_tag description",
    "actions": "id project_id user_id action actionmode path_to_backup backup_name container "
    "max_retries max_retries_interval mandatory log_file backup_metadata",
    "job_actions": "id job_id action_id position",
    "backups": "id project_id user_id job_id status backup_metadata",
}
MADE = "2026-01-01 00:00:00"

Fields = Sequence[Any]


def fill(server: MariaDB, database: str, catalogues: Sequence[Catalogue], folder: Path) -> None:
    """Load the catalogues into empty tables, by way of files in the folder."""
    for table, names in COLUMNS.items():
        file = folder / f"{table}.tsv"
        with file.open("w") as output:
            for catalogue in catalogues:
                output.writelines(_lines(_ROWS[table](catalogue)))
        columns = ", ".join(["deleted", "created_at", *names.split()])
        server.run(
            "SET foreign_key_checks = 0",
            "SET unique_checks = 0",
            f"LOAD DATA INFILE '{file}' INTO TABLE {table} CHARACTER SET utf8mb4 "
            f"FIELDS TERMINATED BY '\\t' ESCAPED BY '' ({columns})",
            f"ANALYZE TABLE {table}",
            database=database,
        )
        file.unlink()


def _lines(rows: Iterable[Fields]) -> Iterator[str]:
    for row in rows:
        yield "\t".join(map(str, (0, MADE, *row))) + "\n"


def _clients(catalogue: Catalogue) -> Iterator[Fields]:
    owner = catalogue.project_id, catalogue.user_id
    abilities = [json.dumps(all_) for all_ in CAPABILITIES.values()]
    for name in catalogue.clients():
        hostname = name.partition("_")[2]
        yield name, *owner, name, hostname, hostname[:36], 0, *abilities


def _jobs(catalogue: Catalogue) -> Iterator[Fields]:
    owner = catalogue.project_id, catalogue.user_id
    for number in range(catalogue.jobs):
        job = catalogue.job(number)
        schedule = json.dumps(job["schedule"])
        yield job["id"], *owner, schedule, job["client_id"], "", 0, job["description"]


def _actions(catalogue: Catalogue) -> Iterator[Fields]:
    owner = catalogue.project_id, catalogue.user_id
    shown = ("action", "mode", "path_to_backup", "backup_name", "container")
    for number in range(catalogue.jobs):
        for action in catalogue.job(number)["actions"]:
            document = action["freezer_action"]
            retries = action["max_retries"], action["max_retries_interval"]
            values = (document[key] for key in shown)
            whole = document["log_file"], json.dumps(document)
            yield action["id"], *owner, *values, *retries, 0, *whole


def _links(catalogue: Catalogue) -> Iterator[Fields]:
    for number in range(catalogue.jobs):
        job = catalogue.job(number)
        for position, action in enumerate(job["actions"]):
            yield action["id"], job["id"], action["id"], position


def _backups(catalogue: Catalogue) -> Iterator[Fields]:
    owner = catalogue.project_id, catalogue.user_id
    for number in range(catalogue.backups):
        backup = catalogue.backup(number)
        metadata = backup["metadata"]
        yield backup["id"], *owner, metadata["job_id"], "available", json.dumps(metadata)


_ROWS = {
    "clients": _clients,
    "jobs": _jobs,
    "actions": _actions,
    "job_actions": _links,
    "backups": _backups,
}
