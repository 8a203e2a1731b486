"""What Python developers use: gql, and ariadne-codegen with mypy.

The scripts in `pypi` assert what they see; here they are checked and run.
"""

from collections.abc import Callable

from .conftest import Run


def test_gql(pypi: Callable[[str], Run], endpoint: str) -> None:
    pypi("gql")("python", "run_gql.py", endpoint)


def test_ariadne_codegen(pypi: Callable[[str], Run], endpoint: str) -> None:
    run = pypi("ariadne")
    assert "client.py" in run("ariadne-codegen")
    # The generated modules are the tool's affair; what they say of the results is ours.
    run("mypy", "--strict", "--follow-imports=silent", "run_ariadne.py")
    run("python", "run_ariadne.py", endpoint)
