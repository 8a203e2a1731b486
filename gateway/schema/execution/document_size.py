"""The size of a document, counted before it is validated, in one step for each field.

Validation compares the fields that share a response name in an object pair by pair: what is short
to write takes long to validate, unless the pairs are counted first.
"""

from collections import defaultdict
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from gateway.errors import BadInput
from gateway.settings import Settings

Within = tuple[SelectionSetNode, frozenset[str]]
"""A selection set, and the names of the fragments that it is in."""


def check_size(settings: Settings, document: DocumentNode, text: str) -> None:
    """Pass, or raise GraphQLError for a document of too many fields, or of too many pairs."""
    tokens = document.token_count
    most = min(settings.graphql_max_fields, settings.graphql_max_field_pairs * 2 / max(tokens, 1))
    if tokens <= most and "..." not in text:
        # Each field takes a token at least.
        return
    size = _Size(settings, document)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            size.add(definition.selection_set, frozenset())
    for name, fragment in size.fragments.items():
        if name not in size.spread:
            size.add(fragment.selection_set, frozenset((name,)))


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
        self.spread: set[str] = set()
        self.fields = self.pairs = 0

    def add(self, selections: SelectionSetNode, within: frozenset[str]) -> None:
        """Count the fields under an operation, or under a fragment that none spreads."""
        waiting: list[list[Within]] = [[(selections, within)]]
        while waiting:
            for group in self._merged(waiting.pop()).values():
                self.pairs += len(group) * (len(group) - 1) // 2
                if below := [within for within in group if within[0] is not None]:
                    waiting.append(below)
            if self.pairs > self.max_pairs:
                _refuse("pairs of fields with one name to compare", self.max_pairs)

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
            if self.fields > self.max_fields:
                _refuse(
                    "fields, those of a fragment counted wherever it is spread", self.max_fields
                )
        self.spread |= seen
        return fields


def _refuse(what: str, most: int) -> None:
    message = f"this document has more than {most} {what}"
    raise GraphQLError(message, original_error=BadInput(message))
