"""Generated code: functions made of expressions, names and values, whose source tracebacks show.

Code that runs for every value of every row is generated once for its columns, and goes by place.
Its text is made of the gateway's own words, of numbers, and of literals written by `repr`; every
other value is handed in by name.
"""

import linecache
import weakref
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

_numbers = count(1)


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

    Its source is registered with `linecache`, for as long as the function lives.
    """
    lines = [f"def {name}({', '.join(parameters)}):\n", *(f"    {line}\n" for line in body)]
    file = f"<generated {name} {next(_numbers)}>"
    source = "".join(lines)
    scope = dict(names.values)
    exec(compile(source, file, "exec"), scope)  # noqa: S102 - see the module's docstring
    function: Callable[..., Any] = scope[name]
    linecache.cache[file] = (len(source), None, lines, file)
    weakref.finalize(function, linecache.cache.pop, file, None)
    return function


def source_of(function: Callable[..., Any]) -> str:
    """Return the source of a generated function."""
    return "".join(linecache.getlines(function.__code__.co_filename))
