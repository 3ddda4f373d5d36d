"""Measures Headbox on this machine: `make bench`. Never a test: the figures depend on the machine."""
