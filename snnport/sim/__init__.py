"""Arithmetic and time: the engine, its counts, cycles and energy."""
