"""Trusted documents: those that a program was built with, asked for by an id instead of a text.

They come from a file, as relay-compiler and graphql-codegen write it: an object of texts by id.
Beside them there are automatic ones, which a client registers by sending a text with its hash.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog
from cachetools import LRUCache
from graphql import GraphQLError, parse, validate

from gateway.catalogue import checks
from gateway.context import Context
from gateway.errors import BadInput, Forbidden, UnknownHash, shown
from gateway.settings import Settings

log = structlog.get_logger(__name__)

MAX_REGISTERED = 1_000_000
"""Characters of all texts that clients have registered."""
PREFIX = "sha256:"
ANY_DOCUMENT = "graphql:any_document"
"""The rule for callers who may send other documents where only trusted ones are taken."""


class TrustedDocuments:
    """The documents that are asked for by id, and who may send others."""

    def __init__(self, schema: Any, settings: Settings, own: Iterable[str] = ()) -> None:
        """Take the file's documents, and the gateway's own.

        Raises OSError and ValueError for a file that can't be used.
        """
        self.only = settings.graphql_documents_only
        file = settings.graphql_documents
        by_id: Mapping[str, str] = {} if file is None else _read(file)
        for key, text in by_id.items():
            if message := _fault(schema, text):
                log.warning("trusted document is not valid", id=key, error=message)
        self._texts = frozenset((*by_id.values(), *own))
        self._by_id = {**{_hash(text): text for text in self._texts}, **by_id}
        self._registered: LRUCache[str, str] = LRUCache(MAX_REGISTERED, len)

    def text_of(self, ctx: Context, given: Mapping[str, Any]) -> str:
        """Return the document of a request: the one that it has, or the one that it names.

        Raises BadInput, UnknownHash for a hash that nobody has registered, and Forbidden for a
        document that the caller may not send.
        """
        text = given.get("query")
        if text is None or text == "":
            if (key := given.get("documentId")) is not None:
                return self._by_its_id(key)
            if (key := _persisted(given.get("extensions"))) is not None:
                return self._by_hash(key)
        if not isinstance(text, str) or not text.strip():
            raise BadInput(f"'query' must be a GraphQL document, not {shown(text)}", field="query")
        if self.only and text not in self._texts:
            self._authorize(ctx)
        if (key := _persisted(given.get("extensions"))) is not None:
            self._register(key, text)
        return text

    def _by_its_id(self, key: object) -> str:
        found = self._by_id.get(checks.string("documentId", key).removeprefix(PREFIX))
        if found is None:
            raise BadInput(f"no trusted document has the id {shown(key)}", field="documentId")
        return found

    def _by_hash(self, key: str) -> str:
        found: str | None = self._by_id.get(key) or self._registered.get(key)
        if found is None:
            # Apollo's protocol: by this word clients know that they have to send the text.
            raise UnknownHash("PersistedQueryNotFound", field="sha256Hash")
        return found

    def _register(self, key: str, text: str) -> None:
        if _hash(text) != key:
            raise BadInput("'sha256Hash' is not the hash of 'query'", field="sha256Hash")
        if not self.only and len(text) <= MAX_REGISTERED:
            self._registered[key] = text

    def _authorize(self, ctx: Context) -> None:
        try:
            ctx.authorize(ANY_DOCUMENT)
        except Forbidden as error:
            message = f"only trusted documents are taken: send the id of one ({error.message})"
            raise Forbidden(message, field="query") from None


def _read(file: Path) -> Mapping[str, str]:
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    texts = found.items() if isinstance(found, dict) else None
    if texts is None or not all(isinstance(text, str) for _, text in texts):
        raise ValueError(f"{file} must be an object of GraphQL documents by their ids")
    return {key.removeprefix(PREFIX): text for key, text in texts}


def _fault(schema: Any, text: str) -> str | None:
    """Return what is wrong with a document, or None."""
    try:
        errors = validate(schema, parse(text))
    except GraphQLError as error:
        return error.message
    return errors[0].message if errors else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _persisted(extensions: object) -> str | None:
    """Return the hash in a request's extensions, or None. Raises BadInput."""
    if not isinstance(extensions, dict) or extensions.get("persistedQuery") is None:
        return None
    given = checks.mapping("persistedQuery", extensions["persistedQuery"])
    if given.get("version") != 1:
        version = shown(given.get("version"))
        raise BadInput(f"'version' of a persisted query must be 1, not {version}", field="version")
    return checks.string("sha256Hash", given.get("sha256Hash"))
