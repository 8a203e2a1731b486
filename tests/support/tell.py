"""Mutations as one line of a test: sent, and either shown or found to have written nothing."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.db.database import Database
from tests.support.apps import GraphQL

JOB = """job { id jobId description clientId status result event version scheduleDocument
  schedule { interval date month } actions { nodes { actionId freezerAction } } }"""
ACTION = (
    "action { id actionId freezerAction maxRetries maxRetriesInterval mandatory version action }"
)
BACKUP = "backup { id backupId status backupName hostname jobId metadata version userName }"
CLIENT = """client { id clientId hostname description uuid version isCentral
  supportedActions supportedModes supportedStorages supportedEngines }"""
SESSION = "session { id sessionId description holdOff version schedule }"

MUTATIONS: Mapping[str, tuple[str, str]] = {
    "createJob": ("CreateJobInput", JOB),
    "updateJob": ("UpdateJobInput", JOB),
    "deleteJob": ("DeleteInput", "deletedId"),
    "startJob": ("JobEventInput", f"requested {JOB}"),
    "stopJob": ("JobEventInput", f"requested {JOB}"),
    "abortJob": ("JobEventInput", f"requested {JOB}"),
    "createAction": ("ActionInput", ACTION),
    "updateAction": ("UpdateActionInput", ACTION),
    "deleteAction": ("DeleteInput", "deletedId"),
    "registerBackup": ("RegisterBackupInput", BACKUP),
    "updateBackup": ("UpdateBackupInput", BACKUP),
    "deleteBackup": ("DeleteInput", "deletedId"),
    "registerClient": ("RegisterClientInput", CLIENT),
    "deleteClient": ("DeleteInput", "deletedId"),
    "createSession": ("CreateSessionInput", SESSION),
    "updateSession": ("UpdateSessionInput", SESSION),
    "deleteSession": ("DeleteInput", "deletedId"),
}
METADATA = {"backup_name": "b", "container": "c", "hostname": "h"}
DO = {"freezerAction": {"action": "backup", "mode": "fs"}}


class Teller:
    """Sends mutations, and looks at what they leave behind."""

    def __init__(self, graphql: GraphQL, database: Database) -> None:
        """Take the way to the gateway, and to its database."""
        self.graphql, self.database = graphql, database

    async def send(self, name: str, project: str = "p1", **given: Any) -> dict[str, Any]:
        """Send a mutation; return the body of the answer."""
        type_, selection = MUTATIONS[name]
        text = f"mutation($input: {type_}!) {{ it: {name}(input: $input) {{ {selection} }} }}"
        return await self.graphql(text, {"input": given}, project=project)

    async def __call__(self, name: str, project: str = "p1", **given: Any) -> Any:
        """Send a mutation that must succeed; return its payload, or the item in it."""
        body = await self.send(name, project, **given)
        assert "errors" not in body, body
        payload = body["data"]["it"]
        return payload if len(payload) > 1 else next(iter(payload.values()))

    async def refused(self, code: str, name: str, project: str = "p1", **given: Any) -> str:
        """Send a mutation that must be refused, and write nothing; return the message."""
        before = await self.contents()
        body = await self.send(name, project, **given)
        assert [error["extensions"]["code"] for error in body["errors"]] == [code], body
        assert not any((body.get("data") or {}).values())
        assert await self.contents() == before
        return str(body["errors"][0]["message"])

    async def contents(self) -> Mapping[str, list[Any]]:
        """Everything that is in the database."""
        return {
            table.name: sorted(await self.database.rows(sa.select(table)), key=repr)
            for table in SQLModel.metadata.sorted_tables
        }

    async def ask(self, query: str) -> Any:
        """Ask a question that must be answered; return the answer."""
        body = await self.graphql(query)
        assert "errors" not in body, body
        return body["data"]
