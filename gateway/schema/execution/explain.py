"""A plan as text: its levels, the SQL and the columns of each, and the code generated for it.

Each level is run by itself on a database that notes its statements and has no rows, so that the SQL
shown is the SQL that is run, and nothing is read or written.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from textwrap import indent
from typing import Any, cast

from graphql.execution.values import VariableValues

from gateway.codegen import source_of
from gateway.context import Context, ItemKey
from gateway.db.database import Database
from gateway.db.rows import Row
from gateway.db.statements import SQL, Statement
from gateway.schema.execution.connection_output import ConnectionOutput
from gateway.schema.execution.failures import Execution
from gateway.schema.execution.output import Child, LevelCode, LevelPlan
from gateway.schema.execution.payloads import listed
from gateway.schema.execution.plan import Plan
from gateway.schema.execution.relations import ConnectionPlan
from gateway.schema.execution.root_fields import ByGlobalIdPlan, ByRestIdPlan, MutationPlan
from gateway.schema.execution.subscription_fields import LivePlan, RootPlan

KEY: ItemKey = ("project", "id")
"""A key for each level to look up; no item has it."""


class NotingDatabase:
    """A database without rows, which notes the statements that it is asked to run."""

    def __init__(self, database: Database) -> None:
        self.is_sqlite = database.is_sqlite
        self.statements: list[Statement] = []
        self._database = database

    def statement(self, key: Hashable, make: Callable[[], SQL]) -> Statement:
        """Return the statement cached under this key; compile what `make` returns if none is."""
        return self._database.statement(key, make)

    async def rows(
        self,
        query: SQL | Statement,
        values: Mapping[str, Any] | None = None,  # noqa: ARG002 - Database's signature
    ) -> Sequence[Row]:
        """Note the statement; return no rows."""
        statement = query if isinstance(query, Statement) else self._database.compile(query)
        self.statements.append(statement)
        return []


async def explain(plan: Plan, variables: VariableValues, ctx: Context) -> str:
    """Return a plan as a tree of text, with the SQL that it runs in this context."""
    database = NotingDatabase(ctx.db)
    execution = Execution(replace(ctx, db=cast("Database", database)), variables)
    explainer = _Explainer(execution, database)
    parts = [await explainer.root(field.key, root) for field, root in plan.fields]
    head = plan.kind
    if not plan.is_mutation and (reads := plan.reads_of_clock(execution)):
        head = f"{head} that depends on the clock: {', '.join(reads)}"
    if not plan.is_mutation and (reads := plan.reads_untracked(execution)):
        parts.insert(0, f"never kept: {', '.join(reads)}")
    return "\n".join([head, *map(_below, parts)])


class _Explainer:
    """Writes the parts of a plan, one below the other."""

    def __init__(self, execution: Execution, database: NotingDatabase) -> None:
        self.execution = execution
        self.database = database

    async def root(self, key: str, root: RootPlan) -> str:
        """Return the text of a root field and of all below it."""
        head = f"{key}: {root.describe()}"
        run = self.execution
        match root:
            case MutationPlan(payload=payload):
                parts = [
                    await self.level(f"{name}: by key", level, listed(run, level, [KEY]))
                    for name, level in payload.levels()
                ]
            case ByGlobalIdPlan():
                parts = [
                    await self.level(
                        f"{name}: by key", root.level_for(name), root.find(run, name, [KEY])
                    )
                    for name in dict.fromkeys(name for name, _, _ in root.wanted(run))
                ]
            case ConnectionPlan(level=level, output=output):
                return await self.level(head, level, root.run(run), output)
            case ByRestIdPlan(level=level):
                return await self.level(head, level, root.run(run))
            case LivePlan(fields=fields):
                parts = [await self.root(field.key, below) for field, below in fields]
            case _:
                parts = []
        return "\n".join([head, *map(_below, parts)])

    async def child(self, key: str, child: Child) -> str:
        """Return the text of a relation and of all below it."""
        load = child.load(self.execution, [KEY], all_projects=False)
        head = f"{key}: {child.describe()}"
        if child.level is None:
            return await self.statements(head, load)
        return await self.level(head, child.level, load, getattr(child, "output", None))

    async def statements(self, head: str, run: Awaitable[Any]) -> str:
        """Return the text of the statements that are run, without rows."""
        self.database.statements = []
        await self.execution.attempt(run)
        parts = [f"SQL: {' '.join(one.text.split())}" for one in self.database.statements]
        return "\n".join([head, *map(_below, parts)])

    async def level(
        self,
        head: str,
        level: LevelPlan,
        run: Awaitable[Any],
        connection: ConnectionOutput | None = None,
    ) -> str:
        """Return the text of a level and of all below it; `run` reads it, without rows."""
        self.database.statements = []
        await self.execution.attempt(run)
        statements = self.database.statements
        parts = [f"columns: {', '.join(str(column.key) for column in level.columns)}"]
        parts += [f"SQL: {' '.join(statement.text.split())}" for statement in statements]
        if level.outputs and statements:
            code = LevelCode(level.index, statements[0].row.converters)
            parts += [source_of(output.compile(code)).rstrip() for output in level.outputs]
        if connection is not None:
            parts.append(source_of(connection.compile()).rstrip())
        for output in level.outputs:
            parts += [await self.child(field.key, child) for field, _, child in output.children]
        return "\n".join([head, *map(_below, parts)])


def _below(text: str) -> str:
    return indent(text, "  ")
