"""Tools for trained MLPs: evaluate, attack, explain, export."""
