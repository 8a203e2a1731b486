"""Generated code: its names, its literals, and its lines in a traceback."""

import gc
import linecache
import traceback

import pytest

from gateway import codegen
from gateway.codegen import CodeNames, compile_function, source_of

TEXT = "it's"


def test_a_function_is_made_of_names_and_values() -> None:
    names = CodeNames()
    body = [f"total = {names(sum)}(numbers)", f"return [total, {TEXT!r}, {names(3)}]"]
    function = compile_function("build", ["numbers"], body, names)
    assert function([1, 2]) == [3, "it's", 3]
    assert source_of(function).splitlines() == [
        "def build(numbers):",
        "    total = v0(numbers)",
        '    return [total, "it\'s", v1]',
    ]


def test_a_traceback_shows_the_generated_line() -> None:
    function = compile_function("build", ["rows"], ["return [r[1] for r in rows]"], CodeNames())
    with pytest.raises(IndexError) as caught:
        function([[0]])
    text = "".join(traceback.format_exception(caught.value))
    assert "return [r[1] for r in rows]" in text
    assert "<generated build" in text


def test_its_source_goes_with_its_code() -> None:
    function = compile_function("build", [], ["return 'of this test'"], CodeNames())
    again = compile_function("build", [], ["return 'of this test'"], CodeNames())
    assert again is not function
    assert again.__code__ is function.__code__
    file = function.__code__.co_filename
    assert file in linecache.cache
    codegen._codes.clear()  # noqa: SLF001 - or it would be kept for others
    assert source_of(function) == "def build():\n    return 'of this test'\n"
    del function, again
    gc.collect()
    assert file not in linecache.cache
