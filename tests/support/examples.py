"""The examples of some documents: what they ask, and what is said there of the answer.

The sample data's times depend on the day it is loaded, and on nothing else: moved by whole days, an
answer of today is the documented one. Run as a program, this writes the answers into the documents.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from gateway import demo, logs, migrations
from gateway.app import create_app
from gateway.db.database import Database
from gateway.playground import build as building
from gateway.settings import load

DOCUMENT, INSIGHT = (
    Path(__file__).parents[2] / "docs" / name for name in ("dashboards.md", "insight.md")
)
TABS = sorted((Path(building.__file__).parent / "src" / "tabs").glob("*.graphql"))
SHOWN = datetime(2026, 3, 2, tzinfo=UTC)
"""The day on which the documented sample was loaded."""
WIDTH = 96

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(T\d\d:\d\d:\d\d(?:Z|\+00:00)?)")


@dataclass(frozen=True)
class Example:
    """A query of the document, with its variables and its answer, as they stand there."""

    query: str
    variables: dict[str, Any]
    answer: dict[str, Any] | None
    end: int
    """Where in the document the question ends."""
    answered: int
    """Where its answer ends, if it has one."""

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.query.split("{")[0].split("(")[0].split()[1]


def examples(text: str) -> list[Example]:
    """Every example of a document, in order."""
    found: list[Example] = []
    for block in _BLOCK.finditer(text):
        language, content, end = block[1], block[2], block.end()
        if language == "graphql":
            found.append(Example(content, {}, None, end, end))
        elif language == "json":
            last = found.pop()
            value = json.loads(content)
            if value.keys() & {"data", "errors"}:
                found.append(Example(last.query, last.variables, value, last.end, end))
            else:
                found.append(Example(last.query, value, None, end, end))
    return found


def question(tab: Path) -> tuple[str, dict[str, Any]]:
    """Return a tab's document and variables."""
    variables = tab.with_suffix(".json")
    return tab.read_text(), json.loads(variables.read_text()) if variables.exists() else {}


async def age(ask: Ask) -> timedelta:
    """By how many days the sample data is younger than the documented one."""
    answer = await ask("{ clients(first: 1) { nodes { createdAt } } }", {})
    (client,) = answer["data"]["clients"]["nodes"]
    return datetime.fromisoformat(client["createdAt"]) + demo.AGE - SHOWN


def moved(value: Any, by: timedelta) -> Any:
    """Move every point in time in a JSON value, and put the ids of requests aside."""
    if isinstance(value, dict):
        return {
            key: "req-…" if key == "requestId" else moved(inner, by) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [moved(inner, by) for inner in value]
    if isinstance(value, str) and (time := _TIME.fullmatch(value)):
        day = datetime.fromisoformat(time[1]) + by
        return f"{day:%Y-%m-%d}{time[2]}"
    return value


async def answered(example: Example, ask: Ask, by: timedelta) -> dict[str, Any]:
    """Ask what an example asks; return the answer as the documented sample gives it."""
    answer = await ask(example.query, moved(example.variables, by))
    return dict(moved(answer, -by))


def inline(value: Any) -> str:
    """Write JSON on one line, with spaces inside of braces."""
    if isinstance(value, dict) and value:
        return f"{{ {', '.join(f'{json.dumps(k)}: {inline(v)}' for k, v in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value, ensure_ascii=False)


def pretty(value: Any, indent: int = 0, key: str = "") -> str:
    """Write JSON, indented, with everything on one line that fits there."""
    start, line = f"{' ' * indent}{key}", inline(value)
    if len(start) + len(line) < WIDTH or not isinstance(value, dict | list) or not value:
        return f"{start}{line}"
    if isinstance(value, dict):
        opening, closing = "{", "}"
        parts = [pretty(part, indent + 2, f"{json.dumps(name)}: ") for name, part in value.items()]
    else:
        opening, closing = "[", "]"
        parts = [pretty(part, indent + 2) for part in value]
    return "\n".join([f"{start}{opening}", ",\n".join(parts), f"{' ' * indent}{closing}"])


async def rewritten(text: str, ask: Ask) -> str:
    """The document, with the answers as they are."""
    by = await age(ask)
    parts, at = [], 0
    for example in examples(text):
        if example.query.startswith("mutation"):
            continue
        answer = pretty(await answered(example, ask, by))
        parts += [text[at : example.end], f"\n```json\n{answer}\n```\n"]
        at = example.answered
    return "".join([*parts, text[at:]])


async def _write(folder: Path) -> None:
    logs.configure("error", "console")
    settings = load(database_url=f"sqlite:///{folder}/sample.sqlite3")
    database = Database(settings)
    await migrations.upgrade(database)
    await demo.load(database)
    await database.close()
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9090") as client,
    ):

        async def ask(query: str, variables: dict[str, Any]) -> dict[str, Any]:
            body = {"query": query, "variables": variables}
            return dict((await client.post("/graphql", json=body)).json())

        for document in (DOCUMENT, INSIGHT):
            document.write_text(await rewritten(document.read_text(encoding="utf-8"), ask))


def rows(text: str, heading: str) -> Iterator[list[str]]:
    """The rows of the table that follows this heading, without its own."""
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    for line in table[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder_:
        asyncio.run(_write(Path(folder_)))
