"""The air between a base station and a virtual board: path, curves of each technology, reception, modem."""
