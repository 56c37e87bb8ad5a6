"""Virtual boards: a chip, its software, its radio and its supply, put together."""
