"""How bytes get to an instrument and back: VISA, serial, HTTP."""
