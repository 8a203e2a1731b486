"""docs/moving.md tells what the commands print."""

from pathlib import Path

from tests.support import moving_page
from tests.support.moving_page import PAGE


def test_the_commands_print_what_the_page_tells(tmp_path: Path) -> None:
    found = list(moving_page.outputs(PAGE.read_text(), tmp_path))
    assert len(found) >= 5
    for example, printed in found:
        assert printed == example.output, example.text
