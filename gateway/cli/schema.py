"""The commands about the GraphQL schema: print it, compare it, explain an operation's plan."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.auth.identity import NoAuthenticator
from gateway.auth.policy import Policy
from gateway.cli.options import Config, fail, load_settings
from gateway.context import Contexts
from gateway.db.database import Database
from gateway.errors import BadInput, GatewayError
from gateway.schema import changes, create_schema
from gateway.schema.execution.documents import OperationError
from gateway.schema.execution.operations import Executor

commands = typer.Typer(
    no_args_is_help=True,
    help="Print the GraphQL schema, compare it with an earlier one, or explain an operation.",
)


@commands.command("print")
def schema_print(
    output: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
) -> None:
    """Print the GraphQL schema, in SDL."""
    text = f"{create_schema().as_str()}\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@commands.command("check")
def schema_check(
    old: Annotated[
        Path,
        typer.Argument(
            help="An earlier schema, as `schema print` wrote it.",
            metavar="OLD.graphql",
            exists=True,
            dir_okay=False,
        ),
    ],
    *,
    changelog: Annotated[
        Path | None,
        typer.Option(
            help="Accept the breaking changes announced in the first section of this file.",
            metavar="CHANGELOG.md",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """List the changes since an earlier schema that could break its clients.

    **Breaking** changes make valid documents fail. The command exits with 1 if there are any but
    those whose line is quoted word for word in the first section of the change log.
    **Dangerous** ones, such as a new value of an enum, may surprise a program.
    """
    try:
        found = changes.compare(old.read_text(encoding="utf-8"), create_schema().as_str())
    except (BadInput, UnicodeDecodeError) as error:
        fail(f"{old}: {error}")
    said = changes.announced(changelog.read_text(encoding="utf-8")) if changelog else ""
    for change in found.breaking:
        typer.echo(f"breaking: {change}{' (announced)' if change in said else ''}")
    for change in found.dangerous:
        typer.echo(f"dangerous: {change}")
    if not (found.breaking or found.dangerous):
        typer.echo("no breaking or dangerous changes")
    if any(change not in said for change in found.breaking):
        raise typer.Exit(1)


@commands.command("explain")
def schema_explain(
    document: Annotated[
        Path,
        typer.Argument(
            help="A GraphQL document.", metavar="DOCUMENT.graphql", exists=True, dir_okay=False
        ),
    ],
    *,
    operation: Annotated[
        str | None, typer.Option(help="The operation's name, if the document has several.")
    ] = None,
    variables: Annotated[
        str, typer.Option(help="The operation's variables, a JSON object.", metavar="JSON")
    ] = "{}",
    config: Config = None,
) -> None:
    """Print the plan of an operation as a tree: its levels, their SQL, columns and code.

    The SQL is that of the configured database, `GATEWAY_DATABASE_URL`, which is not asked anything
    and need not be there. A mutation is not run.
    """
    chosen = load_settings(config)
    executor = Executor(create_schema(), chosen)
    try:
        text = document.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        fail(f"{document}: {error}")

    async def explain() -> str:
        database = Database(chosen)
        try:
            contexts = Contexts(database, Policy(chosen.policy_file), NoAuthenticator(chosen))
            ctx = await contexts.open({}, "/graphql")
            return await executor.explain(ctx, text, _object(variables), operation)
        finally:
            await database.close()

    try:
        typer.echo(asyncio.run(explain()))
    except (OperationError, GatewayError) as error:
        fail(f"{document}: {error}")
    except (OSError, ValueError) as error:
        # The policy file.
        fail(str(error))


def _object(text: str) -> dict[str, Any]:
    """Return the variables of an option's text; exit if it is no JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        fail(f"--variables is not JSON: {error}")
    if not isinstance(value, dict):
        fail(f"--variables must be a JSON object, not {text}")
    return value
