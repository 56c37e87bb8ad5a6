"""Hardware-in-the-loop test bench for LwM2M firmware updates."""
