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
    TypeInfo,
    ValidationContext,
    Visitor,
    specified_rules,
    visit,
)
from graphql.language.visitor import BREAK, SKIP, EnterLeaveVisitor
from graphql.validation import ASTValidationRule
from graphql.validation.validate import (
    FragmentNestingVisitor,
    ValidationAbortedError,
    query_document_keys_to_validate,
)
from graphql.validation.validation_context import VariableUsage, VariableUsageVisitor
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

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


def validate(schema: GraphQLSchema, document: DocumentNode, text: str) -> list[GraphQLError]:
    """Return the errors of a document, parsed from this text, as graphql-core's `validate` does."""
    errors: list[GraphQLError] = []
    type_info = TypeInfo(schema)

    def on_error(error: GraphQLError) -> None:
        if len(errors) >= MAX_ERRORS:
            raise ValidationAbortedError(
                "Too many validation errors, error limit reached. Validation aborted."
            )
        errors.append(error)

    context = _Context(schema, document, type_info, on_error)
    visitors: list[Visitor] = [rule(context) for rule in _relevant(text)]
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    if fragments:
        visitors.insert(0, FragmentNestingVisitor(fragments))
    try:
        visit(document, _AllRules(type_info, visitors), KEYS)
    except ValidationAbortedError as error:
        # Without the frames of the validation, which it would keep alive.
        error.__context__ = None
        errors.append(error.with_traceback(None))
    except RecursionError:
        errors.append(ValidationAbortedError("Validation aborted."))
    return errors


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
            visit(node, _AllRules(self._type_info, [visitor]), KEYS)
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


class _AllRules(Visitor):
    """Every rule at once, with the types of the nodes; the rules edit nothing."""

    def __init__(self, type_info: TypeInfo, rules: Sequence[Visitor]) -> None:
        super().__init__()
        self.type_info = type_info
        self.rules = rules
        self.kinds = tuple(map(type, rules))
        self.skipping: dict[int, Any] = {}
        """The node below which a rule looks at nothing, or BREAK, by the rule's position."""

    def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
        """Return the handlers of a kind of node."""
        known = self.enter_leave_map.get(kind)
        if known is None:
            known = self.enter_leave_map[kind] = EnterLeaveVisitor(
                self._enter(kind), self._leave(kind)
            )
        return known

    def _enter(self, kind: str) -> Handler | None:
        note_type: Handler | None = getattr(self.type_info, f"enter_{kind}", None)
        handlers = self._handlers("enter", kind)
        if note_type is None and not handlers:
            return None
        skipping = self.skipping

        def enter(node: Node, *others: Any) -> None:
            if note_type is not None:
                note_type(node)
            for at, handle in handlers:
                if skipping and at in skipping:
                    continue
                result = handle(node, *others)
                if result is SKIP or result is False:
                    skipping[at] = node
                elif result is BREAK or result is True:
                    skipping[at] = BREAK

        return enter

    def _leave(self, kind: str) -> Handler:
        forget_type: Handler | None = getattr(self.type_info, f"leave_{kind}", None)
        handlers = self._handlers("leave", kind)
        skipping = self.skipping

        def leave(node: Node, *others: Any) -> None:
            for at, handle in handlers:
                if skipping and at in skipping:
                    continue
                result = handle(node, *others)
                if result is BREAK or result is True:
                    skipping[at] = BREAK
            if skipping:
                for at in [at for at, below in skipping.items() if below is node]:
                    del skipping[at]
            if forget_type is not None:
                forget_type()

        return leave

    def _handlers(self, verb: str, kind: str) -> Sequence[tuple[int, Handler]]:
        return [(at, getattr(self.rules[at], name)) for at, name in _names(self.kinds, verb, kind)]


@cache
def _names(rules: tuple[type, ...], verb: str, kind: str) -> Sequence[tuple[int, str]]:
    """Return the positions of the rules that handle a kind of node, and their methods' names."""
    found = []
    for at, rule in enumerate(rules):
        name = f"{verb}_{kind}" if hasattr(rule, f"{verb}_{kind}") else verb
        if hasattr(rule, name):
            found.append((at, name))
    return found
