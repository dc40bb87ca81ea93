"""Benchmarks in which every function's result is known: built, packed, read and searched."""
