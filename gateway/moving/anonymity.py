"""Anonymous exports: names, hosts, paths and ids replaced, the same one always by the same.

Words are replaced, not texts: so a path stays a path, and a client's id has its host's name in it.
The key is made anew for each export, and kept nowhere.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any

from gateway.catalogue.vocabularies import (
    CAPABILITIES,
    BackupStatus,
    JobEvent,
    JobResult,
    JobStatus,
)

_WORD = re.compile(r"[^\W_]+")
_OPEN_TEXTS = frozenset(
    {
        *("status", "result", "event", "action", "mode", "storage", "engine_name", "backup_media"),
        *("compression", "client_os", "client_version", "created_at", "updated_at", "time_zone"),
        *CAPABILITIES,
    }
)
"""The keys whose texts say nothing of anybody."""
_VOCABULARY = frozenset(
    {
        *BackupStatus,
        *JobStatus,
        *JobResult,
        *JobEvent,
        *(word for words in CAPABILITIES.values() for word in words),
        *("true", "false", "none", ""),
    }
)


class Anonymity:
    """Replaces words, the same one always by the same."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._words: dict[str, str] = {}

    def document(self, value: Any, key: str = "") -> Any:
        """Return a JSON value with the texts in it replaced; `key` is the one that it has."""
        if isinstance(value, Mapping):
            # Keys that aren't known are names, as the ids of jobs in a session.
            return {self._key_of(name): self.document(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self.document(one, key) for one in value]
        if not isinstance(value, str) or key in _OPEN_TEXTS or key.startswith("schedule_"):
            return value
        return value if value.lower() in _VOCABULARY else self.text(value)

    def text(self, text: str) -> str:
        """Return a text with its words replaced."""
        return _WORD.sub(lambda match: self._word(match[0]), text)

    def _key_of(self, name: str) -> str:
        """Return a key: replaced if it is an id, which are long and have digits."""
        is_id = len(name) >= 16 and any(letter.isdigit() for letter in name)  # noqa: PLR2004
        return self.text(name) if is_id else name

    def _word(self, word: str) -> str:
        if word not in self._words:
            digest = hashlib.blake2b(word.encode(), key=self._key, digest_size=16).hexdigest()
            # As long as it was, to meet the same limits; a letter first, as hosts have one.
            self._words[word] = ("x" + digest)[: max(len(word), 6)]
        return self._words[word]
