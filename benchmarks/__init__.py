"""Benchmarks of the bars in docs/performance.md: `python -m benchmarks --help`."""
