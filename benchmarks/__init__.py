"""Measurements: `python -m benchmarks`, against peers and the machine's limit; `python -m benchmarks.NAME`, of parts.

Times are comparable within one run only.
"""
