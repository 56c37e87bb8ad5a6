"""The virtual boards' bootloaders. They parse the flash with code of their own."""
