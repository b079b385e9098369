"""The daemon that systemd runs: one window after the other, to everything that wants it.

Imports every room of `agent` but `experiment`, `selftest` and `cli`. A sink that fails must not cost a window.
"""
