"""Queries of many kinds, and an estate of jobs to ask about."""

from typing import Any

from gateway.context import Context
from gateway.resolvers import actions, backups, clients, jobs


def metadata(number: int, **more: Any) -> dict[str, Any]:
    return {
        "backup_name": f"b{number % 3}",
        "container": "c",
        "hostname": f"h{number % 2}",
        "time_stamp": 1_700_000_000 + number,
        "curr_backup_level": number % 4,
        **more,
    }


async def estate(ctx: Context, count: int, backups_each: int = 4) -> list[str]:
    """Store jobs with two actions and some backups each; return their ids."""
    await clients.create(ctx, clients.ClientDraft("host1", hostname="host1"))
    ids = []
    for number in range(count):
        row = await jobs.create(
            ctx,
            jobs.JobDraft(
                actions=[
                    actions.ActionDraft({"action": "backup", "mode": "fs", "backup_name": "x"}),
                    actions.ActionDraft({"action": "admin", "remove_older_than": 30}),
                ],
                description=f"job {number:04}",
                client_id="host1",
                schedule={"schedule_interval": "1 days", "status": "scheduled"},
            ),
        )
        ids.append(row.id)
        for backup in range(backups_each):
            await backups.create(ctx, backups.BackupDraft(metadata(backup, job_id=row.id)))
    return ids


JOBS = """
query Jobs($first: Int!) {
  jobs(first: $first) {
    totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node {
      id jobId description status schedule { interval status timeCreated timeStarted event }
      scheduleDocument
      client { clientId hostname }
      actions { totalCount edges { position node { actionId action freezerAction } } }
      backups(last: 3, orderBy: {field: TIME_STAMP}) {
        totalCount
        pageInfo { hasNextPage hasPreviousPage }
        nodes { backupName timeStamp level job { description } }
      }
    } }
  }
}
"""


SWITCHED = """query ($yes: Boolean!) {
  jobs { totalCount @include(if: $yes) nodes @skip(if: $yes) { id } }
}"""
QUERIES: list[tuple[str, dict[str, Any]]] = [
    (JOBS, {"first": 2}),
    (
        """{ backups(first: 3) {
          totalCount
          edges { cursor node {
            id metadata level status timeStamp compressedSize
            job { id description client { hostname } }
          } }
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor __typename }
          __typename
        } }""",
        {},
    ),
    (
        """query ($w: BackupWhere, $o: [BackupOrder!], $a: String) {
          b: backups(where: $w, orderBy: $o, after: $a, last: 2) {
            nodes { ...F }
            edges { __typename node { backupName } }
          }
        }
        fragment F on Backup { n: backupName __typename ... on Node { id } }""",
        {"w": {"level": {"gte": 1}}, "o": [{"field": "TIME_STAMP", "direction": "DESC"}]},
    ),
    (SWITCHED, {"yes": True}),
    (SWITCHED, {"yes": False}),
    (
        """{ clients { nodes { clientId jobs(first: 1) { edges { node {
          description
          actions(last: 1) { edges { position cursor node { action jobs { nodes { jobId } } } } }
        } } } } } }""",
        {},
    ),
    ("{ jobs(allProjects: true) { nodes { projectId client { clientId } } } __typename }", {}),
    ("{ sessions { totalCount nodes { id jobs { nodes { id } } } } actions { nodes { id } } }", {}),
    (
        """{ jobs(where: {or: []}) {
          totalCount nodes { id } pageInfo { endCursor hasNextPage }
        } }""",
        {},
    ),
    (
        """{
          job(jobId: "none") { id }
          client(clientId: "host1") { hostname isCentral createdAt supportedModes }
        }""",
        {},
    ),
    ("{ jobs(first: 0) { pageInfo { hasNextPage } edges { cursor } } }", {}),
]
