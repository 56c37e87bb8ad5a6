"""The timeline picture of a test: state, download and signal, current, supply, events over one axis."""
