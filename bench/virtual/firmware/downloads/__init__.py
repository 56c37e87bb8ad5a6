"""PULL: how the device fetches packages, one module a protocol."""
