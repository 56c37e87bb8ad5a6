"""MCUboot with one image: what its `bootutil` does with the flash, in two versions, option by option."""
