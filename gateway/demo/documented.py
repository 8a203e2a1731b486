"""The rows of the documented examples, in a project of their own."""

import json
from collections.abc import Iterator
from importlib import resources

from gateway.demo import rows
from gateway.demo.rows import Row

PROJECT = "752d8bd43d654e7a840bbfda77ce41af"
"""The project of the published examples."""


def examples() -> Iterator[Row]:
    """Yield the rows of the documented examples, and of the client that their job names."""
    examples = json.loads(resources.files("gateway.demo").joinpath("documented.json").read_bytes())
    for item in examples["backups"]:
        item["id"] = item.pop("backup_id")
        metadata = item.pop("backup_metadata")
        created_at = rows.from_epoch(metadata["time_stamp"])
        yield rows.backup(created_at, metadata, "available", project_id=PROJECT, **item)
    for item in examples["jobs"]:
        item["id"] = item.pop("job_id")
        steps = item.pop("job_actions")
        table, job = rows.job(item.pop("job_schedule"), **item)
        owner = {"project_id": job["project_id"], "user_id": job["user_id"]}
        yield rows.client(job["created_at"], job["client_id"].removeprefix(f"{PROJECT}_"), **owner)
        yield table, job
        actions = [
            rows.action(
                job["created_at"],
                step.pop("freezer_action"),
                project_id=PROJECT,
                id=step.pop("action_id"),
                **step,
            )
            for step in steps
        ]
        yield from rows.steps(job, actions)
