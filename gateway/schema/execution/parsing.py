"""Parsing: graphql-core's parser, with short ways for what nearly all of a document is made of.

Names and punctuators are found by one pattern, and nodes keep no tokens. Whatever else there is,
and every error, is graphql-core's own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from graphql import DocumentNode, FieldNode, NameNode, Node, Source, Token, TokenKind
from graphql.language.parser import Parser, nested_too_deeply_error

AnyNode = TypeVar("AnyNode", bound=Node)

NAME, COLON, SPREAD = TokenKind.NAME, TokenKind.COLON, TokenKind.SPREAD
PAREN_L, BRACE_L, AT = TokenKind.PAREN_L, TokenKind.BRACE_L, TokenKind.AT
_PUNCTUATORS: Mapping[str, TokenKind] = {
    kind.value: kind for kind in TokenKind if kind.value in set("!$&()|:=@[]{}")
} | {"": TokenKind.EOF}
_IGNORED = r"[ \t\n,\ufeff]*+"
_COMMON = re.compile(
    # Possessive: nothing in a comment is a token.
    rf"{_IGNORED}(?:#[^\n\r]*+{_IGNORED})?+"
    r"(?:([_A-Za-z][_0-9A-Za-z]*)|([!$&()|:=@\[\]{}])|(\Z))"
).match
"""Ignored characters, with one comment at most, and the name or the punctuator after them, or the
end: nine in ten of all tokens."""


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
    parser = _Parser(Source(text), max_tokens=max_tokens)
    try:
        return parser.parse_document()
    except RecursionError:
        raise nested_too_deeply_error(parser) from None


class _Parser(Parser):
    def __init__(self, source: Source, max_tokens: int) -> None:
        super().__init__(source, max_tokens=max_tokens)
        self._source = source
        self._most = max_tokens

    def loc(self, start_token: Token) -> Any:
        return Place(start_token.start, self._lexer.last_token.end, self._source)

    def advance_lexer(self) -> None:
        lexer = self._lexer
        token = lexer.token
        if token.next is None and self._token_counter < self._most:
            found = _COMMON(self._source.body, token.end)
            if found is not None:
                group: Any = found.lastindex
                start, end = found.span(group)
                text = found[group]
                lexer.last_token = token
                # Neither lines nor columns: what errors show is worked out of the places.
                if group == 1:
                    lexer.token = Token(NAME, start, end, 0, 0, text)
                else:
                    lexer.token = Token(_PUNCTUATORS[text], start, end, 0, 0)
                # The end is no token that counts.
                self._token_counter += bool(text)
                return
        lexer._comment_budget = self._most - self._token_counter  # noqa: SLF001
        super().advance_lexer()

    def parse_name(self) -> NameNode:
        token = self._lexer.token
        if token.kind is not NAME:
            return super().parse_name()
        self.advance_lexer()
        return _node(NameNode, value=token.value, loc=Place(token.start, token.end, self._source))

    def parse_selection(self) -> Any:
        lexer = self._lexer
        start = lexer.token
        if start.kind is SPREAD:
            return self.parse_fragment()
        name, alias = self.parse_name(), None
        if lexer.token.kind is COLON:
            self.advance_lexer()
            name, alias = self.parse_name(), name
        arguments = directives = selection_set = None
        if lexer.token.kind is PAREN_L:
            arguments = self.parse_arguments(is_const=False)
        if lexer.token.kind is AT:
            directives = self.parse_directives(is_const=False)
        if lexer.token.kind is BRACE_L:
            selection_set = self.parse_selection_set()
        return _node(
            FieldNode,
            alias=alias,
            name=name,
            arguments=arguments,
            directives=directives,
            selection_set=selection_set,
            loc=Place(start.start, lexer.last_token.end, self._source),
        )


def _node(kind: type[AnyNode], **fields: Any) -> AnyNode:
    """Return a node. Its class is a frozen one, which sets its fields one by one."""
    node = kind.__new__(kind)
    node.__dict__.update(fields)
    return node
