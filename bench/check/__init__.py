"""Whether a bench file can be used: its files held against the drivers, the images and this PC.

Nothing is opened or powered. The rules that need nothing but the files are in `bench.config.rules`; a new
one that needs more is one function in this room and one entry in `RULES`.
"""

from bench.check.checked import RULES, checked_bench
from bench.check.server import where_found

__all__ = ["RULES", "checked_bench", "where_found"]
