"""What is asked of trained MLPs: evaluate, attack, explain, export."""
