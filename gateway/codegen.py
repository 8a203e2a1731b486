"""Generated code: functions made of expressions, names and values, whose source tracebacks show.

Code that runs for every value of every row is generated once for its columns, and goes by place.
Its text is made of the gateway's own words, of numbers, and of literals written by `repr`; every
other value is handed in by name.
"""

import linecache
import weakref
from collections.abc import Callable, Sequence
from itertools import count
from types import CodeType
from typing import Any

from cachetools import LRUCache, cached

MAX_CACHED = 500_000
"""Characters of source whose code is kept."""

_numbers = count(1)
_codes: LRUCache[Any, tuple[CodeType, int]] = LRUCache(MAX_CACHED, lambda entry: entry[1])


class CodeNames:
    """The values that a piece of generated code refers to, each by a name of its own."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __call__(self, value: object, prefix: str = "v") -> str:
        """Keep a value, and return its name in the code."""
        name = f"{prefix}{len(self.values)}"
        self.values[name] = value
        return name


def compile_function(
    name: str, parameters: Sequence[str], body: Sequence[str], names: CodeNames
) -> Callable[..., Any]:
    """Return the function of these parameters with these lines as its body.

    Its source is registered with `linecache`, for as long as its code lives.
    """
    source = "".join(
        [f"def {name}({', '.join(parameters)}):\n", *(f"    {line}\n" for line in body)]
    )
    scope = dict(names.values)
    exec(_compile(name, source)[0], scope)  # noqa: S102 - see the module's docstring
    function: Callable[..., Any] = scope[name]
    return function


@cached(_codes)
def _compile(name: str, source: str) -> tuple[CodeType, int]:
    """Return the code of a source, and its length.

    Selections of one shape differ only in the values of names, and share their code.
    """
    file = f"<generated {name} {next(_numbers)}>"
    code = compile(source, file, "exec")
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    # The function's own code, which lives as long as any function made of it.
    (own,) = (part for part in code.co_consts if isinstance(part, CodeType))
    weakref.finalize(own, linecache.cache.pop, file, None)
    return code, len(source)


def source_of(function: Callable[..., Any]) -> str:
    """Return the source of a generated function."""
    return "".join(linecache.getlines(function.__code__.co_filename))
