"""One page, in one file, that shows what run folders hold."""
