"""Generated samples: sources, filters, pools, and what reads them."""
