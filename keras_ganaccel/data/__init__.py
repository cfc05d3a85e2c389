"""Labelled data: loading, auditing, splitting, and bringing it into the range that models take."""
