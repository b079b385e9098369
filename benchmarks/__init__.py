"""Benchmarks: timings as ratios, never assertions; each is run by a make target and prints its figures."""
