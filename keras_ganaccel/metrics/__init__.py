"""How good generated samples are: distances, coverage, usefulness and memorisation."""
