"""Validation: graphql-core's rules over one document, in one pass that visits no node in vain.

graphql-core asks every rule at every node, and looks its handlers up for every document: more than
parsing, planning and running most operations costs. The rules are fixed here, so that which of them
look at a kind of node is known, and no name, which none of them looks at, is visited.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    TypeInfo,
    ValidationContext,
    Visitor,
    specified_rules,
)
from graphql.language.visitor import BREAK, SKIP
from graphql.validation import ASTValidationRule
from graphql.validation.validate import (
    FragmentNestingVisitor,
    ValidationAbortedError,
    query_document_keys_to_validate,
)
from graphql.validation.validation_context import VariableUsage, VariableUsageVisitor
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from gateway.schema.execution.plain_queries import is_plainly_valid

RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)

_MARKS: Mapping[tuple[str, ...], str] = {
    ("fragment", "..."): "FragmentsOnCompositeTypesRule KnownFragmentNamesRule "
    "NoFragmentCyclesRule NoUnusedFragmentsRule PossibleFragmentSpreadsRule "
    "UniqueFragmentNamesRule",
    ("$",): "NoUndefinedVariablesRule NoUnusedVariablesRule UniqueVariableNamesRule "
    "VariablesAreInputTypesRule VariablesInAllowedPositionRule",
    ("@",): "DeferStreamDirectiveLabel DeferStreamDirectiveOnRootField "
    "DeferStreamDirectiveOnValidOperationsRule KnownDirectivesRule StreamDirectiveOnListField "
    "UniqueDirectivesPerLocationRule",
    ("(",): "KnownArgumentNamesRule MaybeNullValidationRule OneOfInputValidationRule "
    "UniqueArgumentNamesRule UniqueInputFieldNamesRule ValuesOfCorrectTypeRule",
    ("__",): "MaxIntrospectionDepthRule",
    ("subscription",): "SingleFieldSubscriptionsRule",
}
MARKS = {name: marks for marks, names in _MARKS.items() for name in names.split()}
"""Texts without one of which a document can't break a rule; other rules look at every document."""
MAX_ERRORS = 100
NAMES = {"name", "alias"}
KEYS = {
    kind: tuple(key for key in keys if key not in NAMES)
    for kind, keys in query_document_keys_to_validate.items()
}
"""The keys of each kind of node under which the nodes to visit are."""

Handler = Callable[..., Any]
Handlers = Sequence[tuple[int, Handler]]
"""Rules by their positions, with their methods for a kind of node."""


def validate(
    schema: GraphQLSchema,
    document: DocumentNode,
    text: str,
    *,
    hide_suggestions: bool = False,
    max_errors: int = MAX_ERRORS,
) -> list[GraphQLError]:
    """Return the errors of a document, parsed from this text, as graphql-core's `validate` does."""
    if is_plainly_valid(schema, document):
        return []
    errors: list[GraphQLError] = []
    type_info = TypeInfo(schema)

    def on_error(error: GraphQLError) -> None:
        if len(errors) >= max_errors:
            raise ValidationAbortedError(
                "Too many validation errors, error limit reached. Validation aborted."
            )
        errors.append(error)

    context = _Context(schema, document, type_info, on_error, hide_suggestions)
    visitors: list[Visitor] = [
        rule(context)
        for rule in _relevant(text)
        if rule is not OverlappingFieldsCanBeMergedRule or "..." in text or _repeats(document)
    ]
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    if fragments:
        visitors.insert(0, FragmentNestingVisitor(fragments))
    try:
        _AllRules(type_info, visitors).visit(document)
    except ValidationAbortedError as error:
        # Without the frames of the validation, which it would keep alive.
        error.__context__ = None
        errors.append(error.with_traceback(None))
    except RecursionError:
        errors.append(ValidationAbortedError("Validation aborted."))
    return errors


def _repeats(document: DocumentNode) -> bool:
    """Return True if a selection set without fragments has a response name twice.

    No others can be in conflict with each other.
    """
    waiting: list[Any] = list(document.definitions)
    while waiting:
        selections = getattr(waiting.pop(), "selection_set", None)
        if selections is None:
            continue
        fields = selections.selections
        if len({(field.alias or field.name).value for field in fields}) < len(fields):
            return True
        waiting += fields
    return False


def _relevant(text: str) -> Sequence[type[ASTValidationRule]]:
    """Return the rules that a document with this text could break."""
    present = tuple(mark in text for mark in _ALL_MARKS)
    return _with_marks(present)


_ALL_MARKS = tuple(dict.fromkeys(mark for marks in MARKS.values() for mark in marks))


@cache
def _with_marks(present: tuple[bool, ...]) -> Sequence[type[ASTValidationRule]]:
    found = {mark for mark, is_there in zip(_ALL_MARKS, present, strict=True) if is_there}
    return [
        rule
        for rule in RULES
        if rule.__name__ not in MARKS or found.intersection(MARKS[rule.__name__])
    ]


class _Context(ValidationContext):
    """graphql-core's context; it visits no name either, and looks nodes up without hashing them.

    A node's hash is made of all that is below it.
    """

    def get_variable_usages(self, node: Any) -> list[VariableUsage]:
        """Return the variables used in an operation or a fragment itself."""
        known: dict[int, list[VariableUsage]] = self.__dict__.setdefault("_own_usages", {})
        if id(node) not in known:
            fragment = node if isinstance(node, FragmentDefinitionNode) else None
            visitor = VariableUsageVisitor(self._type_info, fragment)
            _AllRules(self._type_info, [visitor]).visit(node)
            known[id(node)] = visitor.usages
        return known[id(node)]

    def get_recursive_variable_usages(
        self, operation: OperationDefinitionNode
    ) -> list[VariableUsage]:
        """Return the variables used in an operation and in the fragments that it spreads."""
        known: dict[int, list[VariableUsage]] = self.__dict__.setdefault("_all_usages", {})
        if id(operation) not in known:
            fragments = self.get_recursively_referenced_fragments(operation)
            # As graphql-core does, so that many operations over many fragments are refused.
            self.spend_fragment_work(len(fragments))
            usages = [*self.get_variable_usages(operation)]
            for fragment in fragments:
                own = self.get_variable_usages(fragment)
                self.spend_fragment_work(len(own))
                usages += own
            known[id(operation)] = usages
        return known[id(operation)]


class _AllRules:
    """Every rule at once, with the types of the nodes; the rules edit nothing."""

    def __init__(self, type_info: TypeInfo, rules: Sequence[Visitor]) -> None:
        self.type_info = type_info
        self.rules = rules
        self.kinds = tuple(map(type, rules))
        self.skipping: dict[int, Any] = {}
        """The node below which a rule looks at nothing, or BREAK, by the rule's position."""
        self._known: dict[tuple[str, str], tuple[Handler | None, Handlers]] = {}

    def visit(self, root: Node) -> None:
        """Show a node and all below it to the rules, depth first."""
        # Nodes to enter, tuples of them, and in a list, a node to leave; None ends a tuple.
        waiting: list[Any] = [root]
        # What holds a node, a node or a tuple, and what holds that, as graphql-core has them.
        parents: list[Any] = [None]
        while waiting:
            node = waiting.pop()
            if node is None:
                parents.pop()
            elif type(node) is tuple:
                parents.append(node)
                waiting.append(None)
                waiting += node[::-1]
            elif type(node) is list:
                parents.pop()
                self._leave(node[0], parents)
            else:
                self._enter(node, parents)
                parents.append(node)
                waiting.append([node])
                waiting += [
                    below
                    for key in reversed(KEYS.get(node.kind, ()))
                    if (below := getattr(node, key, None))
                ]

    def _enter(self, node: Any, parents: list[Any]) -> None:
        note_type, handlers = self._handlers("enter", node.kind)
        if note_type is not None:
            note_type(node)
        above = parents[1:-1]
        for at, handle in handlers:
            if self.skipping and at in self.skipping:
                continue
            # Handlers take a key and a path, too, which no rule looks at.
            result = handle(node, None, parents[-1], (), above)
            if result is SKIP or result is False:
                self.skipping[at] = node
            elif result is BREAK or result is True:
                self.skipping[at] = BREAK

    def _leave(self, node: Any, parents: list[Any]) -> None:
        forget_type, handlers = self._handlers("leave", node.kind)
        above = parents[1:-1]
        for at, handle in handlers:
            if self.skipping and at in self.skipping:
                continue
            result = handle(node, None, parents[-1], (), above)
            if result is BREAK or result is True:
                self.skipping[at] = BREAK
        for at in [at for at, below in self.skipping.items() if below is node]:
            del self.skipping[at]
        if forget_type is not None:
            forget_type()

    def _handlers(self, verb: str, kind: str) -> tuple[Handler | None, Handlers]:
        """Return TypeInfo's handler of a kind of node, and those of the rules."""
        key = verb, kind
        if key not in self._known:
            named = _names(self.kinds, verb, kind)
            types: Handler | None = getattr(self.type_info, f"{verb}_{kind}", None)
            self._known[key] = types, [(at, getattr(self.rules[at], name)) for at, name in named]
        return self._known[key]


@cache
def _names(rules: tuple[type, ...], verb: str, kind: str) -> Sequence[tuple[int, str]]:
    """Return the positions of the rules that handle a kind of node, and their methods' names."""
    found = []
    for at, rule in enumerate(rules):
        name = f"{verb}_{kind}" if hasattr(rule, f"{verb}_{kind}") else verb
        if hasattr(rule, name):
            found.append((at, name))
    return found
