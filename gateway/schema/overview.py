"""The overview and the coverage of hosts in GraphQL."""

from datetime import datetime
from typing import Annotated

import strawberry

from gateway.catalogue.vocabularies import RunOutcome
from gateway.context import Context
from gateway.errors import BadInput
from gateway.resolvers import coverage, overview
from gateway.resolvers.coverage import SHOWN
from gateway.resolvers.health_settings import MAX_AGE, MAX_HOSTS
from gateway.schema.connections import ALL_PROJECTS
from gateway.schema.enums import HealthState, HostCoverage
from gateway.schema.fields import answered
from gateway.schema.health import AsOf


@strawberry.type(description="How many items are in each state of health.")
class HealthCounts:
    """The attributes of Counts."""

    ok: int = strawberry.field(description="The number of those that are well.")
    unknown: int = strawberry.field(description="The number of those of which nothing is known.")
    attention: int = strawberry.field(description="The number of those that need attention.")
    critical: int = strawberry.field(description="The number of those that are critical.")
    muted: int = strawberry.field(
        description="The number of those whose health is muted, whatever it is; the others don't "
        "count them."
    )
    total: int = strawberry.field(description="The number of all.")


@strawberry.type(description="How many runs of some time had each outcome.")
class RunCounts:
    """The numbers of runs."""

    success: int = strawberry.field(description="The number of those that succeeded.")
    fail: int = strawberry.field(description="The number of those that failed.")
    aborted: int = strawberry.field(description="The number of those that were aborted.")
    lost: int = strawberry.field(description="The number of those whose result nobody told.")
    running: int = strawberry.field(description="The number of those that have not ended.")


@strawberry.type(
    description="The things of a project that need somebody. What is muted is in no number but "
    "`muted` and `total`."
)
class Overview:
    """The numbers of an Overview."""

    as_of: datetime = strawberry.field(description="The moment that it is about.")
    since: datetime = strawberry.field(description="The time since which runs are counted.")
    health: HealthState = strawberry.field(
        description="The worst state of all items, and of the hosts that should be backed up."
    )
    health_since: datetime | None = strawberry.field(
        description="The earliest time since which one of them is so; null where nothing tells."
    )
    message: str = strawberry.field(description="The state in a sentence.")
    jobs: HealthCounts = strawberry.field(description="The health of jobs.")
    clients: HealthCounts = strawberry.field(description="The health of clients.")
    series: HealthCounts = strawberry.field(description="The health of series.")
    sessions: HealthCounts = strawberry.field(description="The health of sessions.")
    runs: RunCounts = strawberry.field(description="The outcomes of the runs that began since.")
    failing: int = strawberry.field(description="The number of jobs whose last run has failed.")
    overdue: int = strawberry.field(description="The number of jobs whose next run is overdue.")
    running: int = strawberry.field(description="The number of jobs that are running.")
    fruitless_jobs: int = strawberry.field(
        description="The number of jobs that have succeeded, but never produced a backup that "
        "could be restored."
    )
    silent_clients: int = strawberry.field(
        description="The number of clients whose schedulers are silent."
    )
    unprotected_clients: int = strawberry.field(
        description="The number of clients that have never had a backup that could be restored."
    )
    broken_series: int = strawberry.field(
        description="The number of series whose newest backup can't be restored."
    )
    missed_objectives: int = strawberry.field(
        description="The number of clients and series that miss their recovery objectives."
    )
    recovery_objective: int | None = strawberry.field(
        description="The project's recovery objective in seconds; null for none, and for all "
        "projects."
    )
    expected_hosts: int = strawberry.field(
        description="The number of hosts that the project expects to be backed up."
    )
    uncovered_hosts: int = strawberry.field(
        description="The number of them without a restore point that is new enough."
    )


@strawberry.type(description="A host that should be backed up.")
class ExpectedHost:
    """The attributes of a Host."""

    hostname: str = strawberry.field(description="The name, as clients and backups have it.")
    coverage: HostCoverage = strawberry.field(description="The coverage.")
    client_id: strawberry.ID | None = strawberry.field(
        description="The id of its client in REST; null if none of the project's is registered."
    )
    newest_restore_point_at: datetime | None = strawberry.field(
        description="The time of the newest backup of it that can be restored; null for none."
    )


@strawberry.type(description="The coverage of the hosts that should be backed up.")
class Coverage:
    """The attributes of a Coverage."""

    as_of: datetime = strawberry.field(description="The moment that it is about.")
    max_age: int | None = strawberry.field(
        description="The seconds that a newest restore point may be old; null for any age."
    )
    expected: int = strawberry.field(description="The number of hosts.")
    covered: int = strawberry.field(description="The number of those that are covered.")
    uncovered: int = strawberry.field(description="The number of those that aren't.")
    hosts: list[ExpectedHost] = strawberry.field(
        description=f"The hosts in the states asked for, by name; at most {SHOWN}."
    )


Since = Annotated[
    datetime | None,
    strawberry.argument(description="The time since which runs are counted; a day if absent."),
]
AllProjects = Annotated[bool, strawberry.argument(description=ALL_PROJECTS)]
Hosts = Annotated[
    list[str] | None,
    strawberry.argument(
        description="The names of hosts, compared exactly; those that `setExpectedHosts` has set "
        f"if absent. At most {MAX_HOSTS}."
    ),
]
MaxAge = Annotated[
    int | None,
    strawberry.argument(
        description="The seconds that a newest restore point may be old; the project's recovery "
        "objective if absent."
    ),
]
States = Annotated[
    list[HostCoverage] | None,
    strawberry.argument(description="The states of the hosts that are listed; all if absent."),
]


@strawberry.type
class Query:
    """The root fields of no single entity's health."""

    @answered("The things that need somebody, in numbers.", clock=("as_of",), untracked=True)
    @staticmethod
    async def overview(
        ctx: Context,
        as_of: AsOf = None,
        since: Since = None,
        all_projects: AllProjects = False,  # noqa: FBT002 - an argument of the schema
    ) -> Overview:
        """Return the overview."""
        found = await overview.of_project(ctx, as_of, since, all_projects=all_projects)
        hosts = found.hosts
        return Overview(
            as_of=found.as_of,
            since=found.since,
            health=found.state,
            health_since=found.state_since,
            message=found.message,
            jobs=found.jobs,  # type: ignore[arg-type]  # they have the same attributes
            clients=found.clients,  # type: ignore[arg-type]
            series=found.series,  # type: ignore[arg-type]
            sessions=found.sessions,  # type: ignore[arg-type]
            runs=RunCounts(
                **{outcome.value: found.outcomes.get(outcome.value, 0) for outcome in RunOutcome}
            ),
            failing=found.jobs.flags["failing"],
            overdue=found.jobs.flags["overdue"],
            running=found.jobs.flags["running"],
            fruitless_jobs=found.jobs.flags["never_restorable"],
            silent_clients=found.clients.flags["silent"],
            unprotected_clients=found.clients.flags["never_restorable"],
            broken_series=found.series.flags["broken"],
            missed_objectives=found.clients.flags["missed"] + found.series.flags["missed"],
            recovery_objective=None if hosts is None else hosts.max_age,
            expected_hosts=0 if hosts is None else hosts.expected,
            uncovered_hosts=0 if hosts is None else hosts.uncovered,
        )

    @answered(
        "The coverage of the hosts that should be backed up: of a list, or the project's.",
        clock=("as_of",),
    )
    @staticmethod
    async def coverage(
        ctx: Context,
        hosts: Hosts = None,
        max_age: MaxAge = None,
        states: States = None,
        as_of: AsOf = None,
    ) -> Coverage:
        """Return the coverage of hosts. Raises BadInput for an age out of bounds."""
        if max_age is not None and not 0 <= max_age <= MAX_AGE:
            raise BadInput(
                f"'maxAge' must be between 0 and {MAX_AGE} seconds, not {max_age}", field="maxAge"
            )
        found = await coverage.of_hosts(ctx, hosts, max_age, as_of)
        listed = [host for host in found.hosts if states is None or host.coverage in states]
        return Coverage(
            as_of=found.as_of,
            max_age=found.max_age,
            expected=found.expected,
            covered=found.covered,
            uncovered=found.uncovered,
            hosts=[
                ExpectedHost(
                    hostname=host.hostname,
                    coverage=host.coverage,
                    client_id=host.client_id,  # type: ignore[arg-type]  # a text
                    newest_restore_point_at=host.newest,
                )
                for host in listed[:SHOWN]
            ],
        )
