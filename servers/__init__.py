"""Servers that the tests and the benchmark start for themselves."""
