"""The device's firmware update: object /5, its state machine, and how packages come in."""
