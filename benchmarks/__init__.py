"""Measurements of pubvec and of other libraries on the same work, and the tables that the documentation shows of them.

Each module is a program, `python -m benchmarks.NAME --help` from the root of the repository, and writes one JSON file.
`benchmarks/README.md` lists them. They may import every room of the package, and nothing in the package imports them.
"""
