"""What a device under test must, should and may do in an update: the catalogue of clauses.

`clauses/` holds it as data, a file for each source; `catalogue` reads it. Testcases name its rows by
their IDs.
"""

from bench.requirements.catalogue import CATALOGUE, catalogue_with, read_clauses
from bench.requirements.requirement import Requirement, Strength

__all__ = ["CATALOGUE", "Requirement", "Strength", "catalogue_with", "read_clauses"]
