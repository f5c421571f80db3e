"""Schedulers: pure functions that decide, between chunks, what becomes of every run."""
