"""The dashboard with gql, which fetches the schema and checks and types by it what it sends.

Run in an environment that has gql, with the gateway's endpoint as its argument.
"""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from gql import Client, GraphQLRequest, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXTransport
from gql.utilities import update_schema_enum, update_schema_scalar
from graphql import GraphQLScalarType

JOBS = 60
FIRST = 25
DOCUMENT = gql(Path("dashboard.graphql").read_text(encoding="utf-8"))
DATE_TIME = GraphQLScalarType(
    "DateTime", serialize=datetime.isoformat, parse_value=datetime.fromisoformat
)


class JobStatus(StrEnum):
    """What the program calls the schema's values."""

    COMPLETED = "COMPLETED"
    STOP = "STOP"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    ABORTING = "ABORTING"
    REMOVED = "REMOVED"


def main(url: str) -> None:
    """Query, page, write."""
    client = Client(
        transport=HTTPXTransport(url=url),
        fetch_schema_from_transport=True,
        parse_results=True,
        serialize_variables=True,
    )
    with client as session:
        assert client.schema is not None
        update_schema_scalar(client.schema, "DateTime", DATE_TIME)
        update_schema_enum(client.schema, "JobStatus", JobStatus)

        def ask(operation: str, **variables: object) -> dict[str, Any]:
            request = GraphQLRequest(DOCUMENT, variable_values=variables, operation_name=operation)
            return session.execute(request)

        after, jobs = None, []
        while True:
            since = datetime(2001, 1, 1, tzinfo=UTC)
            data = ask("Dashboard", first=FIRST, after=after, since=since)
            assert data["viewer"]["project"] == "demo"
            assert data["recent"]["totalCount"] > data["failed"]["totalCount"] > 0
            page = data["jobs"]
            assert page["totalCount"] == JOBS
            jobs += [edge["node"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["pageInfo"]["endCursor"]
        assert len({job["id"] for job in jobs}) == len(jobs) == JOBS

        ran = next(job for job in jobs if job["schedule"]["timeEnded"] and job["backups"]["nodes"])
        assert isinstance(ran["status"], JobStatus)
        assert ran["schedule"]["timeEnded"] > ran["backups"]["nodes"][0]["timeStamp"] > since
        assert ran["backups"]["nodes"][0]["metadata"]["backup_name"]

        page = ask("JobPage", id=ran["id"])["node"]
        assert page["__typename"] == "Job"
        assert page["actions"]["edges"][0]["position"] == 0

        for name in ("renamed", ran["description"]):
            job = ask("RenameJob", input={"id": ran["id"], "description": name})["updateJob"]["job"]
            assert job["description"] == name
        made = ask("CreateJob", input={"description": "of gql", "actions": []})["createJob"]["job"]
        gone = ask("DeleteJob", input={"id": made["id"]})["deleteJob"]
        assert gone["deletedId"] == made["id"]
        failures = []
        try:
            ask("DeleteJob", input={"id": made["id"]})
        except TransportQueryError as error:
            failures = error.errors or []
        assert [failure["extensions"]["code"] for failure in failures] == ["NOT_FOUND"]


if __name__ == "__main__":
    main(sys.argv[1])
