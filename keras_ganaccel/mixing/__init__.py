"""The order in which real and generated samples are interleaved, and nothing else."""
