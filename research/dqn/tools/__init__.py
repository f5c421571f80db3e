"""What is asked of trained agents: watch."""
