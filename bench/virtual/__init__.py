"""The virtual bench: a plant at the wire. Reached only through names in a bench file."""
