"""The virtual boards' application: a LwM2M client with an embedded-style CoAP engine of its own."""
