"""The virtual ESP32 at its serial wire: reset circuit, ROM bootloader, RAM flasher, SPI flash."""
