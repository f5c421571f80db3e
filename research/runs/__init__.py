"""What is trained when, and what is kept: experiments, jobs, run folders, checkpoints."""
