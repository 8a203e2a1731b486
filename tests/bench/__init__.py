"""The benchmark: the gateway beside other programs, on the same data, in one interleaved run.

`python -m tests.bench --help` tells how to run it; `make bench` installs what it needs first.
"""
