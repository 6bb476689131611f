"""One file per service; the methods are short and have no `try`."""
