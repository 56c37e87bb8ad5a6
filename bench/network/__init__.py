"""The network between a device and the server, as far as the bench can impair it."""
