"""The house's layout, read from the code: who imports whom, which libraries, and how long."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent

RULES: dict[str, set[str]] = {
    # A room, and which others it may import.
    "__init__": set(),
    "__main__": {
        *("app", "auth", "chains", "cli", "db", "draining", "errors", "migrations", "origins"),
        *("protocol", "rest_compat", "schema", "settings"),
    },
    "app": {
        *("auth", "changes", "context", "db", "deadlines", "draining", "errors", "idempotency"),
        *("kept", "middleware", "migrations", "origins", "overload", "playground", "rates"),
        *("resolvers", "rest_compat", "schema", "settings", "upkeep"),
    },
    "auth": {"catalogue", "errors", "origins", "settings"},
    "catalogue": {"errors"},
    "chains": {"catalogue", "db", "errors"},
    "changes": {"catalogue", "db", "errors", "settings"},
    "cli": {
        *("auth", "chains", "context", "db", "demo", "errors", "logs", "migrations", "moving"),
        *("schema", "settings"),
    },
    "codegen": set(),
    "context": {"auth", "db", "idempotency", "logs", "rates", "settings", "upkeep"},
    "db": {"catalogue", "deadlines", "errors", "settings"},
    "deadlines": {"errors"},
    "demo": {"catalogue", "chains", "db"},
    "draining": set(),
    "errors": set(),
    "headers": set(),
    "http_errors": {"errors"},
    "idempotency": {"catalogue", "db", "errors", "settings"},
    "kept": {"catalogue", "context", "db", "errors", "rates"},
    "logs": set(),
    "middleware": {"db", "errors", "headers", "logs", "origins", "rates"},
    "migrations": {"catalogue", "db", "errors"},
    "moving": {"catalogue", "chains", "db", "errors", "rest_compat", "upkeep"},
    "negotiation": set(),
    "origins": {"errors", "headers", "settings"},
    "overload": {"deadlines", "errors"},
    "playground": {"headers", "negotiation"},
    "protocol": {"deadlines", "middleware", "origins", "overload"},
    "query": {"catalogue", "codegen", "db", "errors"},
    "rates": {"catalogue", "db", "errors", "settings"},
    "resolvers": {"catalogue", "chains", "context", "db", "deadlines", "errors", "query"},
    "rest_compat": {
        *("catalogue", "changes", "codegen", "context", "db", "draining", "errors", "headers"),
        *("http_errors", "kept", "negotiation", "origins", "overload", "query", "rates"),
        *("resolvers", "settings"),
    },
    "schema": {
        *("auth", "catalogue", "chains", "changes", "codegen", "context", "db", "deadlines"),
        *("errors", "headers", "http_errors", "kept", "logs", "negotiation", "query", "rates"),
        *("resolvers", "settings"),
    },
    "settings": {"errors"},
    "upkeep": {"catalogue", "chains", "changes", "db", "errors", "rates", "settings"},
}

HOMES = {
    # A library, and the rooms that may use it; every library in use is here.
    "aiomcache": {"rates"},
    "aiosqlite": {"db"},
    "alembic": {"migrations"},
    "apscheduler": {"catalogue"},
    "asyncpg": {"db"},
    "cachetools": {"auth", "codegen", "db", "kept", "rates", "schema"},
    "graphql": {"schema"},
    "httptools": {"protocol"},
    "httpx": {"cli", "demo", "moving"},
    "keystoneauth1": {"auth"},
    "keystonemiddleware": {"auth"},
    "orjson": {
        *("catalogue", "chains", "changes", "db", "demo", "logs", "moving", "query", "resolvers"),
        *("rest_compat", "schema", "upkeep"),
    },
    "oslo_config": {"auth", "moving"},
    "oslo_policy": {"auth"},
    "pydantic": {"cli", "settings"},
    "pydantic_settings": {"settings"},
    "pymysql": {"moving"},
    "rich": {"cli"},
    "sqlalchemy": {
        *("catalogue", "chains", "changes", "cli", "db", "demo", "idempotency", "kept"),
        *("migrations", "moving", "query", "rates", "resolvers", "schema", "settings", "upkeep"),
    },
    "sqlmodel": {"catalogue", "db", "demo", "migrations", "moving", "query", "resolvers", "schema"},
    "starlette": {
        *("app", "auth", "cli", "deadlines", "headers", "http_errors", "kept", "middleware"),
        *("origins", "overload", "playground", "rest_compat", "schema"),
    },
    "strawberry": {"schema"},
    "structlog": {
        *("__main__", "auth", "changes", "cli", "db", "logs", "middleware", "migrations", "moving"),
        *("protocol", "rates", "schema", "upkeep"),
    },
    "typer": {"__main__", "cli"},
    "uvicorn": {"__main__", "protocol"},
    "webob": {"auth"},
}

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

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


def libraries(path: Path) -> set[str]:
    """Return the third-party packages that a file imports, by the names they are imported by."""
    first = {name.split(".")[0] for name in imported(path)}
    return first - sys.stdlib_module_names - {"gateway"}


def normalized(name: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def room(module: str) -> str:
    """Return the room of a module, by its full name."""
    return module.split(".")[1] if "." in module else "__init__"


def imports() -> dict[str, set[str]]:
    """Return which other modules of the house each module imports, inside of functions, too.

    A package's `__init__` counts where something of it is named.
    """
    paths = {module_name(path): path for path in modules()}
    found = {}
    for module, path in paths.items():
        named = {name if name in paths else name.rpartition(".")[0] for name in imported(path)}
        found[module] = named & paths.keys() - {module}
    return found


def cycle(graph: Mapping[str, set[str]]) -> Sequence[str]:
    """Return the nodes of a cycle, the first of them again at the end; none: there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        nodes: Sequence[str] = error.args[1]
        return nodes
    return []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports(path: Path) -> None:
    me = part(path)
    assert me in RULES, f"{me} isn't in the table of who may import whom"
    allowed = RULES[me] | {me}
    wrong = {name for name in imported(path) if ours(name) and ours(name) not in allowed}
    assert not wrong, f"{me} may not import {wrong}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_stay_at_home(path: Path) -> None:
    for library in libraries(path):
        assert library in HOMES, f"{library} isn't in the table of where libraries may be used"
        assert part(path) in HOMES[library], f"{library} doesn't belong here"


def test_every_library_is_a_declared_dependency() -> None:
    used = {library for path in modules() for library in libraries(path)}
    assert used == set(HOMES)
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    names = (re.split(r"[^\w.-]", dependency)[0] for dependency in project["dependencies"])
    declared = {normalized(name) for name in names}
    distributions = packages_distributions()
    undeclared = {
        library for library in used if declared.isdisjoint(map(normalized, distributions[library]))
    }
    assert not undeclared


def test_no_module_is_part_of_a_cycle() -> None:
    assert cycle(imports()) == []


def test_no_room_is_part_of_a_cycle() -> None:
    rooms: dict[str, set[str]] = {}
    for importer, others in imports().items():
        mine = room(importer)
        rooms.setdefault(mine, set()).update({room(other) for other in others} - {mine})
    assert cycle(rooms) == []


def test_no_module_is_too_long() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in modules()}
    assert {path: count for path, count in lines.items() if count > MAX_MODULE_LINES} == {}


def test_no_function_is_too_long() -> None:
    lines = {
        f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: count for name, count in lines.items() if count > MAX_FUNCTION_LINES} == {}


def test_the_tables_are_about_what_there_is() -> None:
    rooms: dict[str, set[str]] = {name: set() for name in RULES}
    libraries_at: dict[str, set[str]] = {name: set() for name in HOMES}
    for path in modules():
        me = part(path)
        others = {other for name in imported(path) if (other := ours(name)) and other != me}
        rooms.setdefault(me, set()).update(others)
        for library in libraries(path):
            libraries_at.setdefault(library, set()).add(me)
    assert rooms == RULES
    assert libraries_at == HOMES


def test_every_resolver_writes_by_the_function_that_repeats_lost_races() -> None:
    opening = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "resolvers").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "write"
        and isinstance(node.value, (ast.Name, ast.Attribute))
    }
    assert opening == {"resolvers/writing.py"}


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
