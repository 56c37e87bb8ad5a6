"""Simulated instruments: each keeps its real counterpart's grammar, ranges, latches and error queue."""
