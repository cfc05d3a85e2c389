"""Deciding whether generated data help: paired comparisons within the training labels."""
