"""What is asked of trained language models: sample, perplexity."""
