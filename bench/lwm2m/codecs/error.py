"""The one way in which a payload can be wrong."""


class CodecError(ValueError):
    """A payload does not follow its content format; the message says where."""
