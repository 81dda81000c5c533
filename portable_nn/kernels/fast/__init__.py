"""Kernels that beat their portable namesakes: one file a backend, whose `__all__` lists all that it accelerates."""
