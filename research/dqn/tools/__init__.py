"""Tools for trained agents: watch."""
