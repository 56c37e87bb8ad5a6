"""The nRF9160 at its SWD wire: debug port, access ports, flash controller, and a core to halt."""
