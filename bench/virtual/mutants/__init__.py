"""The mutation score of the testcases: which seeded defects they find."""
