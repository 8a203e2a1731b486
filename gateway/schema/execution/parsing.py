"""Parsing: graphql-core's parser, with names found by a pattern and nodes that keep no tokens."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, Lexer, Source, Token, TokenKind
from graphql.language.parser import Parser, nested_too_deeply_error

_PUNCTUATORS: Mapping[str, TokenKind] = {
    kind.value: kind for kind in TokenKind if kind.value in set("!$&()|:=@[]{}")
}
_COMMON = re.compile(r"([ \t\n,\ufeff]*)(?:([_A-Za-z][_0-9A-Za-z]*)|([!$&()|:=@\[\]{}]))").match
"""Ignored characters, and the name or the punctuator after them: nine in ten of all tokens."""


@dataclass(eq=False, slots=True)
class Place:
    """The place of a node in its source: all that an error's `locations` need.

    graphql-core's own location keeps every token of the document alive.
    """

    start: int
    end: int
    source: Source


def parse(text: str, max_tokens: int) -> DocumentNode:
    """Return the document of a text. Raises GraphQLError for a syntax error or too many tokens."""
    source = Source(text)
    parser = _Parser(source, max_tokens=max_tokens, lexer=_Lexer(source))
    try:
        return parser.parse_document()
    except RecursionError:
        raise nested_too_deeply_error(parser) from None


class _Parser(Parser):
    def loc(self, start_token: Token) -> Any:
        lexer = self._lexer
        return Place(start_token.start, lexer.last_token.end, lexer.source)


class _Lexer(Lexer):
    """graphql-core's lexer, which looks at single characters only for the less common tokens."""

    def advance(self) -> Token:
        token = self.token
        if token.next is None and token.kind is not TokenKind.EOF:
            found = _COMMON(self.source.body, token.end)
            if found is not None:
                self.last_token = token
                self.token = token.next = following = self._read(token.end, found)
                following.prev = token
                return following
        return super().advance()

    def read_next_token(self, start: int) -> Token:
        found = _COMMON(self.source.body, start)
        return super().read_next_token(start) if found is None else self._read(start, found)

    def _read(self, start: int, found: re.Match[str]) -> Token:
        ignored, name, punctuator = found.groups()
        if "\n" in ignored:
            self.line += ignored.count("\n")
            self.line_start = start + ignored.rindex("\n") + 1
        at = start + len(ignored)
        column = 1 + at - self.line_start
        if name is None:
            return Token(_PUNCTUATORS[punctuator], at, at + 1, self.line, column)
        return Token(TokenKind.NAME, at, found.end(), self.line, column, name)
