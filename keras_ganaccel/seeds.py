"""Seeds: every random choice has one of its own, derived from the run's seed and a name."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """Derives an independent seed from a run's seed and the names of who needs it.

    A pure function: the same on every machine and Python version, so that adding a consumer of
    randomness changes no other one's numbers.

    Args:
        seed: The run's seed.
        *names: What the seed is for, such as ``"gate", "fold", 3``.

    Returns:
        An integer in [0, 2**31).

    Example:
        >>> derive_seed(0, "gan") == derive_seed(0, "gan")
        True
        >>> derive_seed(0, "gan") == derive_seed(1, "gan")
        False
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
