"""A device's signal: what it reports, the attenuation that brings it where it should be, profiles of it."""
