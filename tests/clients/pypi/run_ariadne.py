"""The dashboard with the client that ariadne-codegen makes of it; mypy checks this file.

Run in an environment that has ariadne-codegen, with the gateway's endpoint as its argument.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import assert_type

from dashboard import Client
from dashboard.enums import BackupStatus, JobResult, JobStatus
from dashboard.exceptions import GraphQLClientGraphQLMultiError
from dashboard.fragments import JobRow
from dashboard.input_types import CreateJobInput, DeleteInput, UpdateJobInput
from dashboard.job_page import JobPageNodeJob

JOBS = 60
FIRST = 25
SINCE = datetime(2001, 1, 1, tzinfo=UTC)


async def every_job(client: Client) -> list[JobRow]:
    """Walk the pages."""
    jobs: list[JobRow] = []
    after = None
    while True:
        data = await client.dashboard(first=FIRST, since=SINCE, after=after)
        assert data.viewer.project == "demo"
        assert data.recent.total_count > data.failed.total_count > 0
        assert_type(data.jobs.total_count, int)
        assert data.jobs.total_count == JOBS
        jobs += [edge.node for edge in data.jobs.edges]
        if not data.jobs.page_info.has_next_page:
            return jobs
        after = assert_type(data.jobs.page_info.end_cursor, str | None)


async def main(url: str) -> None:
    """Query, page, write."""
    async with Client(url) as client:
        jobs = await every_job(client)
        assert len({job.id for job in jobs}) == len(jobs) == JOBS
        assert {JobResult.FAIL, JobResult.SUCCESS} <= {job.result for job in jobs}

        job = next(job for job in jobs if job.schedule.time_ended and job.backups.nodes)
        assert_type(job.status, JobStatus | None)
        (backup,) = job.backups.nodes
        assert_type(backup.status, BackupStatus | None)
        assert_type(backup.compressed_size, int | None)
        assert_type(backup.time_stamp, datetime | None)
        assert backup.time_stamp is not None
        assert backup.time_stamp.utcoffset() == timedelta(0)
        assert backup.metadata["backup_name"] == backup.backup_name

        node = (await client.job_page(job.id)).node
        assert isinstance(node, JobPageNodeJob)
        assert_type(node.actions.edges[0].position, int)
        assert node.description == job.description

        for name in ("renamed", job.description):
            renamed = (
                await client.rename_job(UpdateJobInput(id=job.id, description=name))
            ).update_job
            assert renamed
            assert renamed.job.description == name
        # What isn't given isn't sent: the schedule is as it was.
        assert (await client.job_page(job.id)).node == node.model_copy(
            update={"version": node.version + 2}
        )

        draft = CreateJobInput(description="of ariadne-codegen", actions=[])
        created = (await client.create_job(draft)).create_job
        assert created
        made = created.job
        gone = (await client.delete_job(DeleteInput(id=made.id))).delete_job
        assert gone
        assert gone.deleted_id == made.id
        codes: list[object] = []
        try:
            await client.delete_job(DeleteInput(id=made.id))
        except GraphQLClientGraphQLMultiError as error:
            codes = [(e.extensions or {}).get("code") for e in error.errors]
        assert codes == ["NOT_FOUND"]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
