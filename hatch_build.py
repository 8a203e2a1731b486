"""Builds GraphiQL into every wheel and source distribution, so that neither needs Node.js later."""

import runpy
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# By its path: the package itself can't be imported before what it needs is installed.
PLAYGROUND = runpy.run_path(str(Path(__file__).parent / "gateway" / "playground" / "build.py"))


class PlaygroundHook(BuildHookInterface[Any]):
    """Brings `gateway/playground/dist` up to date, for all but editable installs."""

    def dependencies(self) -> list[str]:
        """Ask for Node.js, where the page must be built and the machine has none."""
        # Hatchling doesn't say what is going to be built; pip does, to the process it asks in.
        if "get_requires_for_build_editable" in sys.argv:
            return []
        requirements: list[str] = PLAYGROUND["build_requirements"]()
        return requirements

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        """Build the page before its files are looked for."""
        if version != "editable":
            PLAYGROUND["build"]()
