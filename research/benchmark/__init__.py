"""Measures how fast a machine trains more and more runs at once, beside its ceilings."""
