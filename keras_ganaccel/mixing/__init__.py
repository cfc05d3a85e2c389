"""Generated samples: where they come from, which are kept, and how they join the real ones."""
