"""CoAP as a LwM2M server needs it, on aiocoap: datagrams, message layer, blocks, who sleeps. No objects."""
