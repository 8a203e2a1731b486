"""JSON as the gateway takes it: whichever parser reads a text, it is read alike."""

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue import json_values
from gateway.errors import BadInput

DIGITS = ["0", "1", "12", "1" * 18, "1" * 19, "9" * 19, "9223372036854775807", "1" * 30]
INTEGERS = st.builds("".join, st.tuples(st.sampled_from(["", "-"]), st.sampled_from(DIGITS)))
NUMBERS = INTEGERS | st.builds(
    "".join,
    st.tuples(
        INTEGERS,
        st.sampled_from(["", ".0", ".5", "." + "1" * 25]),
        st.sampled_from(["", "e0", "E+2", "e-99", "e100", "E308", "e309", "e-400", "e0001"]),
    ),
)
TEXTS = st.sampled_from(['"-0"', '"1e999"', '", 1e999"', f'"{"1" * 40}"', r'"\u0041"', r'"\ud800"'])
BLANKS = st.sampled_from(["", " ", "\n", "\t "])


def inside(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Write lists and objects of these values, with blanks between."""
    lists = st.builds(
        lambda items, blank: f"[{blank}{f'{blank},{blank}'.join(items)}{blank}]",
        st.lists(values, max_size=4),
        BLANKS,
    )
    objects = st.builds(
        lambda value, blank: f'{{"key"{blank}:{blank}{value}{blank}}}', values, BLANKS
    )
    return lists | objects


def read(body: bytes) -> str:
    """Return how a body is read, or what is wrong with it."""
    try:
        return repr(json_values.parse(body))
    except BadInput as error:
        return error.message


@settings(max_examples=300)
@given(inside(st.recursive(NUMBERS | TEXTS, inside, max_leaves=4)))
def test_the_quick_parser_reads_as_the_thorough_one(text: str) -> None:
    body = text.encode()
    with patch.object(json_values, "_is_plain", return_value=False):
        thorough = read(body)
    assert read(body) == thorough
