"""Measures how fast a machine trains more and more runs at once, and how fast it could."""
