"""The size of a request's JSON, counted in its bytes before any of its values is looked at.

Each value of a variable is checked and coerced by Python, which takes a thousand times as long as
reading it.
"""

import re

from gateway.errors import BadInput
from gateway.settings import Settings

_TEXTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
REQUEST_OBJECTS, REQUEST_VALUES = 4, 8
"""The objects and values of a request besides its variables: itself, and its extensions."""


class JSONSize:
    """The limits on the values of a request."""

    def __init__(self, settings: Settings) -> None:
        self.max_values = settings.graphql_max_variable_values
        self.max_objects = settings.graphql_max_variable_objects

    def check(self, text: bytes) -> None:
        """Pass, or raise BadInput for a JSON text with more values than variables may have."""
        most_values = self.max_values + REQUEST_VALUES
        most_objects = self.max_objects + REQUEST_OBJECTS
        # Nearly all requests have few even if those in their texts, as documents are, count.
        if text.count(b"{") <= most_objects and _values(text) <= most_values:
            return
        bare = _TEXTS.sub(b"", text)
        for what, count, most, limit in (
            ("objects", bare.count(b"{"), most_objects, self.max_objects),
            ("values", _values(bare), most_values, self.max_values),
        ):
            if count > most:
                message = f"'variables' has more than {limit} {what}"
                raise BadInput(message, field="variables")


def _values(text: bytes) -> int:
    """Return the number of values in objects and lists, or a few more."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")
