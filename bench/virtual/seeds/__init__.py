"""Whether the testcases pass healthy devices, whatever the seed: the other half of the mutation score."""
