"""The same HTTP function at three servers."""
