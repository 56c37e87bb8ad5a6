"""The LwM2M server, on aiocoap."""
