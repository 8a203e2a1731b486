"""Who may import whom: the house's rules, read from the code itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent

EVERYTHING = {"*"}

RULES: dict[str, set[str]] = {
    # A room, and which others it may import.
    "__init__": set(),
    "__main__": {
        *("app", "auth", "db", "demo", "errors", "logs", "migrations", "origins", "rest_compat"),
        *("schema", "settings"),
    },
    "app": EVERYTHING,
    "auth": {"catalogue", "errors", "origins", "settings"},
    "catalogue": {"errors"},
    "context": {"auth", "db", "errors", "logs"},
    "db": {"catalogue", "errors", "settings"},
    "demo": {"catalogue", "db"},
    "errors": set(),
    "http_errors": {"errors"},
    "logs": set(),
    "middleware": {"db", "errors", "logs", "migrations", "origins"},
    "migrations": {"catalogue", "db", "errors"},
    "negotiation": set(),
    "origins": {"errors", "settings"},
    "playground": {"negotiation"},
    "query": {"catalogue", "db", "errors"},
    "resolvers": {"catalogue", "context", "db", "errors", "query"},
    "rest_compat": {
        *("catalogue", "context", "db", "errors", "http_errors", "negotiation", "origins"),
        *("query", "resolvers", "settings"),
    },
    "schema": {
        *("catalogue", "context", "db", "errors", "http_errors", "logs", "negotiation"),
        *("query", "resolvers", "settings"),
    },
    "settings": set(),
}

HOMES = {
    # A library, and where it may be used.
    "strawberry": {"schema", "context"},
    "graphql": {"schema"},
    "starlette": {
        *("app", "auth", "http_errors", "middleware", "origins", "playground", "rest_compat"),
        "schema",
    },
    "uvicorn": {"__main__"},
    "typer": {"__main__"},
    "alembic": {"migrations"},
    "asyncpg": {"db"},
    "aiosqlite": {"db"},
    "cachetools": {"auth", "db", "schema"},
    "keystonemiddleware": {"auth"},
    "keystoneauth1": {"auth"},
    "oslo_config": {"auth"},
    "oslo_policy": {"auth"},
    "webob": {"auth"},
    "pydantic": {"settings", "__main__"},
    "pydantic_settings": {"settings"},
}

FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "services", "repositories", "misc"}


def modules() -> list[Path]:
    found = sorted(ROOT.rglob("*.py"))
    return [
        path for path in found if "node_modules" not in path.parts and ".node" not in path.parts
    ]


def part(path: Path) -> str:
    """Return the module of the house that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def ours(name: str) -> str | None:
    """Return which module of the house is imported; None: no module of it."""
    package, _, rest = name.partition(".")
    first = rest.split(".")[0]
    if package != "gateway" or first.startswith("__"):
        return None
    return first


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports(path: Path) -> None:
    me = part(path)
    assert me in RULES, f"{me} isn't in the table of who may import whom"
    allowed = RULES[me] | {me}
    wrong = {name for name in imported(path) if ours(name) and ours(name) not in allowed}
    assert not wrong or "*" in allowed, f"{me} may not import {wrong}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_stay_at_home(path: Path) -> None:
    for name in imported(path):
        library = name.split(".")[0]
        assert part(path) in HOMES.get(library, {part(path)}), f"{library} doesn't belong here"


def test_the_table_is_about_what_there_is() -> None:
    assert {part(path) for path in modules()} == set(RULES)


def test_migrations_stand_alone() -> None:
    for path in (ROOT / "migrations" / "versions").glob("*.py"):
        assert [name for name in imported(path) if name.startswith("gateway")] == []


def test_every_module_says_what_it_knows() -> None:
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_room_for_odds_and_ends() -> None:
    for path in modules():
        assert not FORBIDDEN_NAMES & {path.stem, path.parent.name}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                assert not node.name.startswith("Base"), f"{path}: {node.name}"
