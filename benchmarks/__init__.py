"""Measurements, each run as `python -m benchmarks.NAME`; times are comparable within one run only."""
