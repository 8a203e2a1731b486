"""What `docs/compatibility.md` says without running other programs: which operations, by what."""

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from tests.compat import compatibility
from tests.compat.operations import DOCUMENTS, OPERATIONS

TEXT = compatibility.FILE.read_text()
SCHEMA = build_schema((Path(__file__).parents[2] / "schema.graphql").read_text())


@pytest.mark.parametrize("file", sorted(DOCUMENTS.iterdir()), ids=lambda file: file.stem)
def test_a_document_is_valid(file: Path) -> None:
    assert file.stem in OPERATIONS
    assert validate(SCHEMA, parse(file.read_text())) == []


def test_it_shows_the_documents_that_are_run() -> None:
    shown = TEXT.partition("<!-- documents -->\n")[2].partition("<!-- end of documents -->\n")[0]
    assert shown == "\n".join(compatibility.documents()) + "\n", "run 'make compatibility'"


def test_it_has_a_row_for_each_operation() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    shown = [row.split(" | ")[0].removeprefix("| ") for row in rows]
    assert [what for what in shown if what != "operation"] == [
        operation.what for operation in OPERATIONS.values()
    ]
