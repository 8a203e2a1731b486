"""Run the tests with other programs: `python -m tests.compat`, with pytest's own arguments.

What they need is installed from PyPI first, into the cache of `environments`. Where all of them ran
and `docs/compatibility.md` tells other costs than they had, that fails; with `--write`, the
document is written. With `--freezer-api`, the costs of freezer-api are measured and kept instead.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from . import compatibility, ledger
from .environments import REQUIREMENTS, installed

HERE = str(Path(__file__).parent)
FLAGS = {"--write", "--freezer-api"}


def main(given: list[str]) -> int:
    """Install, test, look at the costs, and return the exit status."""
    flags = FLAGS.intersection(given)
    for environment in REQUIREMENTS:
        say(f"{environment}: {installed(environment)}")
    # Each file by itself: its tests have a Keystone in common, and some of them stop it.
    arguments = [HERE, "--numprocesses=auto", "--dist=loadfile"]
    arguments += [argument for argument in given if argument not in flags]
    with TemporaryDirectory() as folder:
        os.environ[ledger.FOLDER] = folder
        if "--freezer-api" in flags:
            os.environ[ledger.OF] = "freezer-api"
            arguments += ["-k", "costs"]
        status = int(pytest.main(arguments))
        return status or compare(ledger.kept(Path(folder)), flags)


def compare(costs: ledger.Costs, flags: set[str]) -> int:
    """Write the costs down, or compare them with those that are."""
    name = compatibility.FILE.name
    if "--freezer-api" in flags:
        compatibility.keep_freezer_api(costs)
    elif missing := compatibility.unmeasured(costs):
        say(f"{name} isn't compared: nothing was measured of {', '.join(missing)}")
    elif "--write" in flags:
        compatibility.FILE.write_text(compatibility.written(costs))
    elif compatibility.written(costs) != compatibility.FILE.read_text():
        say(f"{name} tells other costs than this run had: 'make compatibility', and see why")
        return 1
    return 0


def say(text: str) -> None:
    """Tell whoever runs this."""
    print(text, flush=True)  # noqa: T201


sys.exit(main(sys.argv[1:]))
