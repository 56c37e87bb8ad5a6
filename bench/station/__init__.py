"""What is attached to one bench PC, built from a bench file, opened and closed in the right order."""

from bench.station.images import images_of
from bench.station.station import Station, calibration_file

__all__ = ["Station", "calibration_file", "images_of"]
