"""Export to SavedModel and TFLite, and verification of the very files that were written."""
