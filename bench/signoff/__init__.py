"""The sign-off of a release: what runs have shown, computed from their ledgers."""
