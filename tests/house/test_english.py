"""Plain English: how texts open, and that docstrings say what functions return and raise.

It is read from the code, the schema, the settings and the command line; each test lists every
offender, one a line.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
)
from typer.main import get_command

import gateway
from gateway import errors
from gateway.__main__ import app
from gateway.schema import create_schema
from gateway.settings import Settings

ROOT = Path(gateway.__file__).parent

OPENING = re.compile(r"\s*(what|whether|where|of)\b", re.IGNORECASE)
"""A first word that makes readers wait for the subject; in quotes, it is a name."""

RETURNS = re.compile(r"\b(returns?|yields?)\b", re.IGNORECASE)
RAISES = re.compile(r"\braises?\b", re.IGNORECASE)

PRODUCING = {
    *("Build", "Compile", "Convert", "Copy", "Count", "Create", "Encode", "Decode", "Find"),
    *("Format", "Generate", "List", "Make", "Open", "Parse", "Plan", "Print", "Read", "Render"),
    *("Select", "Write"),
}
"""First words of functions that return what they name: `Make the context of a request.`"""

NOT_COUNTED = {"self", "cls", "info", "root"}

FRAMEWORKS_DECORATORS = {
    # Of functions whose signature is a framework's, and of those that are named for their result.
    *("overload", "property", "cached_property"),
    *("field_validator", "model_validator"),
    *("callback", "command"),
    *("compiles",),
    *("field", "mutation"),
}
"""By the last part of their names: `strawberry.field`, `app.command`."""

FRAMEWORKS_METHODS = {
    # Methods that pydantic, SQLAlchemy and Strawberry call, without a decorator.
    "settings_customise_sources",
    *("process_bind_param", "process_result_value", "result_processor"),
    "resolve_type",
}

OUR_MISTAKES = {"AssertionError", "NotImplementedError"}
"""Raised where the gateway itself is wrong: nobody handles them."""

GATEWAY_ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.GatewayError)
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[str, ast.Module]:
    """Return each module of the gateway, by its path in the checkout."""
    return {
        str(path.relative_to(ROOT.parent)): ast.parse(path.read_text())
        for path in sorted(ROOT.rglob("*.py"))
        if not {"node_modules", ".node"} & set(path.parts)
    }


def assert_none(offenders: Iterator[str]) -> None:
    found = list(offenders)
    assert not found, "\n".join([f"{len(found)} offenders:", *found])


def opening_wrong(texts: Iterator[tuple[str, str | None]]) -> Iterator[str]:
    """Yield those of the texts, with where they are, that open with a word they shouldn't."""
    for place, text in texts:
        if text and OPENING.match(text):
            yield f"{place}: {text.strip().splitlines()[0]}"


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Yield the descriptions of everything in a schema, with its coordinates."""
    for name, type_ in schema.type_map.items():
        if name.startswith("__"):
            continue
        yield name, type_.description
        if isinstance(type_, GraphQLEnumType):
            yield from ((f"{name}.{key}", value.description) for key, value in type_.values.items())
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            fields: dict[str, Any] = type_.fields
            for key, field in fields.items():
                yield f"{name}.{key}", field.description
                for argument, given in getattr(field, "args", {}).items():
                    yield f"{name}.{key}({argument}:)", given.description
    for directive in schema.directives:
        yield f"@{directive.name}", directive.description
        for argument, given in directive.args.items():
            yield f"@{directive.name}({argument}:)", given.description


def helps(command: Any, name: str) -> Iterator[tuple[str, str | None]]:
    """Yield the help texts of a command, its parameters and its subcommands."""
    yield name, command.help
    yield f"{name}, in lists", command.short_help
    yield f"{name}, at the end", command.epilog
    for parameter in command.params:
        yield f"{name} {parameter.opts[0]}", getattr(parameter, "help", None)
    for key, inner in getattr(command, "commands", {}).items():
        yield from helps(inner, f"{name} {key}")


def docstrings() -> Iterator[tuple[str, str | None]]:
    """Yield every string that stands for itself: docstrings, of attributes and variables, too."""
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and is_text(node.value):
                yield f"{path}:{node.lineno}", node.value.value


def messages() -> Iterator[tuple[str, str | None]]:
    """Yield the first arguments of exceptions that are raised, and of the gateway's own errors."""
    for path, tree in trees().items():
        raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            if node in raised or last_name(node.func) in GATEWAY_ERRORS:
                yield from ((f"{path}:{node.lineno}", text) for text in leading(node.args[0]))


def leading(node: ast.expr) -> Iterator[str]:
    """Yield the text that a message begins with, as far as it stands in the code."""
    if is_text(node):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield from leading(node.values[0])
    elif isinstance(node, ast.IfExp):
        yield from (*leading(node.body), *leading(node.orelse))
    elif isinstance(node, ast.BinOp):
        yield from leading(node.left)


class Text(ast.Constant):
    """A literal string."""

    value: str


def is_text(node: ast.expr) -> TypeGuard[Text]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def last_name(node: ast.expr | None) -> str:
    """Return the last part of a dotted name, called or not; otherwise, nothing."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def public_functions() -> Iterator[tuple[str, Function]]:
    """Yield the public functions and methods with parameters, except what frameworks prescribe."""
    for path, tree in trees().items():
        if not any(part.startswith("_") and part[:2] != "__" for part in Path(path).parts):
            yield from functions_of(path, tree.body)


def functions_of(place: str, body: Sequence[ast.stmt]) -> Iterator[tuple[str, Function]]:
    for node in body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from functions_of(f"{place}: {node.name}", node.body)
        elif (
            not FRAMEWORKS_DECORATORS & {last_name(one) for one in node.decorator_list}
            and node.name not in FRAMEWORKS_METHODS
            and len(parameters(node)) > 1
        ):
            yield f"{place}: {node.name}", node


def parameters(function: Function) -> list[str]:
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return [one.arg for one in every if one is not None and one.arg not in NOT_COUNTED]


def returns_something(function: Function) -> bool:
    returned = function.returns
    nothing = isinstance(returned, ast.Constant) and returned.value in {None, "None"}
    return not nothing and last_name(returned) not in {"NoReturn", "Never"}


def raised_in(function: Function) -> set[str]:
    """Return the exceptions that the function's own body raises, by their classes' names."""
    found = set()
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise):
            found.add(last_name(node.exc))
        left.extend(ast.iter_child_nodes(node))
    return {name for name in found if name[:1].isupper()} - OUR_MISTAKES


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("What is it", True), ("of a job", True), ("'where' has", False), ("Offset", False)],
)
def test_openings(text: str, *, wrong: bool) -> None:
    assert list(opening_wrong(iter([("here", text)]))) == ([f"here: {text}"] if wrong else [])


def test_which_functions_are_judged() -> None:
    source = """
class Public:
    def method(self, a: int, *, b: int) -> int: raise NotFound
    @property
    def named(self, a: int, b: int) -> int: ...
    def __eq__(self, a: int, b: int) -> bool: ...
    def short(self, a: int) -> int: ...
class _Private:
    def method(self, a: int, b: int) -> int: ...
@app.command()
def serve(a: int, b: int) -> int: ...
async def nothing(*a: int, **b: int) -> None:
    def inner(): raise Conflict
    raise error
"""
    judged = dict(functions_of("here", ast.parse(source).body))
    assert list(judged) == ["here: Public: method", "here: nothing"]
    assert [returns_something(one) for one in judged.values()] == [True, False]
    assert [raised_in(one) for one in judged.values()] == [{"NotFound"}, set()]


def test_descriptions_of_the_schema() -> None:
    assert_none(opening_wrong(described(create_schema().core)))


def test_descriptions_of_settings() -> None:
    fields = Settings.model_fields.items()
    assert_none(opening_wrong((name, field.description) for name, field in fields))


def test_help_of_the_command_line() -> None:
    assert_none(opening_wrong(helps(get_command(app), "freezer-gateway")))


def test_docstrings() -> None:
    assert_none(opening_wrong(docstrings()))


def test_messages_of_errors() -> None:
    assert_none(opening_wrong(messages()))


def test_public_functions_say_what_they_return() -> None:
    def silent() -> Iterator[str]:
        for place, function in public_functions():
            text = ast.get_docstring(function) or ""
            first_line, _, _ = text.partition("\n")
            producing = text.partition(" ")[0] in PRODUCING
            if returns_something(function) and not producing and not RETURNS.search(text):
                yield f"{place}: {first_line}"

    assert_none(silent())


def test_public_functions_say_what_they_raise() -> None:
    def silent() -> Iterator[str]:
        for place, function in public_functions():
            raised = raised_in(function)
            if raised and not RAISES.search(ast.get_docstring(function) or ""):
                yield f"{place}: {', '.join(sorted(raised))}"

    assert_none(silent())
