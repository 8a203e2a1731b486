"""The size of a document, counted before it is validated, in one step for each field.

Validation compares the fields that share a response name in an object pair by pair: what is short
to write takes long to validate, unless the pairs are counted first.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    Node,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
)
from graphql.validation.validate import query_document_keys_to_validate

from gateway.errors import BadInput
from gateway.settings import Settings

FRAGMENTS = (FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode)
MAX_INTROSPECTIONS = 3
"""The fields `__schema` and `__type`: each can ask for the whole schema."""
MAX_LINES = 500
"""The lines of a document: each error looks for its own among them."""
OBJECT_LITERALS = 4
"""The values that an object counts as: it is compared with all keys that it could have."""
_LITERALS: Mapping[type[Node], int] = {
    ObjectValueNode: OBJECT_LITERALS,
    **dict.fromkeys(
        (
            BooleanValueNode,
            EnumValueNode,
            FloatValueNode,
            IntValueNode,
            ListValueNode,
            NullValueNode,
            StringValueNode,
        ),
        1,
    ),
}
Within = tuple[SelectionSetNode, frozenset[str]]
"""A selection set, and the names of the fragments that it is in."""


def check_length(settings: Settings, text: str) -> None:
    """Pass, or raise GraphQLError for a text that is too long to be parsed."""
    _refuse("characters", len(text), settings.graphql_max_characters)
    _refuse("lines", text.count("\n") + text.count("\r"), MAX_LINES)


def check_size(settings: Settings, document: DocumentNode, text: str) -> None:
    """Pass, or raise GraphQLError for a document with too much of something."""
    tokens = document.token_count
    has_fragments = "..." in text
    if len(document.definitions) > settings.graphql_max_operations:
        # Whatever isn't a fragment: types, too, which the validation refuses one by one.
        operations = sum(
            not isinstance(one, FragmentDefinitionNode) for one in document.definitions
        )
        _refuse("operations", operations, settings.graphql_max_operations)
    if text.count("__schema") + text.count("__type") - text.count("__typename") > (
        MAX_INTROSPECTIONS
    ):
        asked = sum(
            isinstance(node, FieldNode) and node.name.value in {"__schema", "__type"}
            for node in _nodes(document)
        )
        _refuse("introspection fields", asked, MAX_INTROSPECTIONS)
    if "@" in text:
        directives = _count(document, DirectiveNode)
        _refuse("directives", directives, settings.graphql_max_directives)
    if has_fragments:
        fragments = _count(document, *FRAGMENTS)
        _refuse("fragments and places that spread one", fragments, settings.graphql_max_fragments)
    if tokens > settings.graphql_max_literals // OBJECT_LITERALS:
        _refuse(
            "values in arguments, an object counted as four: use variables",
            sum(_LITERALS.get(type(node), 0) for node in _nodes(document)),
            settings.graphql_max_literals,
        )
    if tokens > settings.graphql_max_list_length:
        lists = (len(node.values) for node in _nodes(document) if isinstance(node, ListValueNode))
        _refuse("values in one list", max(lists, default=0), settings.graphql_max_list_length)
    most = min(settings.graphql_max_fields, settings.graphql_max_field_pairs * 2 / max(tokens, 1))
    # Without fragments, each field takes a token at least.
    if has_fragments or tokens > most:
        _Size(settings, document).check()


def _count(document: DocumentNode, *kinds: type[Node]) -> int:
    return sum(isinstance(node, kinds) for node in _nodes(document))


def _nodes(document: DocumentNode) -> Iterator[Node]:
    """Yield the nodes of a document, in no order."""
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        yield node
        for key in query_document_keys_to_validate.get(node.kind, ()):
            below = getattr(node, key, None)
            if type(below) is tuple:
                waiting += below
            elif below is not None:
                waiting.append(below)


class _Size:
    """The fields of a document, and the pairs among them, as they are merged into objects."""

    def __init__(self, settings: Settings, document: DocumentNode) -> None:
        self.max_fields = settings.graphql_max_fields
        self.max_pairs = settings.graphql_max_field_pairs
        self.fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self.operations = [
            definition
            for definition in document.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
        self.spread: set[str] = set()
        self.fields = self.pairs = 0

    def check(self) -> None:
        """Pass, or raise GraphQLError."""
        for operation in self.operations:
            self.add(operation.selection_set, frozenset())
        for name, fragment in self.fragments.items():
            if name not in self.spread:
                self.add(fragment.selection_set, frozenset((name,)))

    def add(self, selections: SelectionSetNode, within: frozenset[str]) -> None:
        """Count the fields under an operation, or under a fragment that none spreads."""
        waiting: list[list[Within]] = [[(selections, within)]]
        while waiting:
            for group in self._merged(waiting.pop()).values():
                self.pairs += len(group) * (len(group) - 1) // 2
                if below := [within for within in group if within[0] is not None]:
                    waiting.append(below)
            _refuse("pairs of fields with one name to compare", self.pairs, self.max_pairs)

    def _merged(self, sets: list[Within]) -> dict[str, list[Any]]:
        """Return what is below the fields of one object, by their response names."""
        fields: dict[str, list[Any]] = defaultdict(list)
        seen: set[str] = set()
        while sets:
            selections, inside = sets.pop()
            for node in selections.selections:
                if isinstance(node, FieldNode):
                    self.fields += 1
                    fields[(node.alias or node.name).value].append((node.selection_set, inside))
                elif isinstance(node, InlineFragmentNode):
                    sets.append((node.selection_set, inside))
                elif isinstance(node, FragmentSpreadNode):
                    name = node.name.value
                    # What isn't there, or is in itself, is for the validation to say.
                    if name in self.fragments and name not in seen and name not in inside:
                        seen.add(name)
                        sets.append((self.fragments[name].selection_set, inside | {name}))
            what = "fields, those of a fragment counted wherever it is spread"
            _refuse(what, self.fields, self.max_fields)
        self.spread |= seen
        return fields


def _refuse(what: str, count: int, most: int) -> None:
    if count > most:
        message = f"this document has more than {most} {what}"
        raise GraphQLError(message, original_error=BadInput(message))
