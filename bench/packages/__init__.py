"""Packages for PULL: what is on the shelf, and the doors it is fetched through."""
