"""The demo: a sample catalogue, the whole way through it, and a page that shows the result."""
