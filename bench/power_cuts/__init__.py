"""Power cuts: where to cut, what came of it, and what a number of good ones proves."""
