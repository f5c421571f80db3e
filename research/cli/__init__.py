"""What a user types and sees: flags, lines, progress, processes and signals."""
