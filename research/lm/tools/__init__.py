"""Tools for trained language models: sample, perplexity."""
