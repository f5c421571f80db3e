"""What a user types and sees: flags, tools, progress, several processes and signals."""
