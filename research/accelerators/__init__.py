"""Compiles for accelerators that are not there: what programs need of them, and launch."""
