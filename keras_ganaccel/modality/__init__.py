"""What kinds of samples there are: one package for each, behind one protocol."""
