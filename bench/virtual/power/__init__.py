"""What the boards draw, the rails that feed them, and what a meter sees of it."""
