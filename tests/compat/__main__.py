"""Run the tests with other programs: `python -m tests.compat`, with pytest's own arguments.

What they need is installed from PyPI first, into the cache of `environments`.
"""

import sys
from pathlib import Path

import pytest

from .environments import REQUIREMENTS, installed

for environment in REQUIREMENTS:
    print(f"{environment}: {installed(environment)}", flush=True)  # noqa: T201
# Each file by itself: its tests have a Keystone in common, and some of them stop it.
at_once = ["--numprocesses=auto", "--dist=loadfile"]
sys.exit(pytest.main([str(Path(__file__).parent), *at_once, *sys.argv[1:]]))
