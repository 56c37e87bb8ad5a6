"""Machine code of a bootloader on the virtual nRF9160: core, exceptions, peripherals by their registers."""
