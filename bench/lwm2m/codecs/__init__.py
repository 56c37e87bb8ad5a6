"""Content formats as pure functions. Whatever is wrong with a payload is a `CodecError`."""
