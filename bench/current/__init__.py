"""What an update costs: current traces, and phases, charge, floors, comparisons and plots made from them."""
