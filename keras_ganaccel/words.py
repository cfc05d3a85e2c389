"""How figures are put into words, in the terminal, the report and the ledger's sentences."""

from __future__ import annotations

# Of fewer rows no share says anything: at thirty its 95 % interval is still up to 34 points wide.
FEW_ROWS = 30


def percent(share: float | None, digits: int = 1) -> str:
    """Writes a share as a percentage; unknown is a dash.

    Example:
        >>> percent(0.98123), percent(None)
        ('98.1 %', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def kilobytes(count: int | None) -> str:
    """Writes a number of bytes in kB (1,000 bytes); unknown is a dash."""
    return "–" if count is None else f"{count / 1000:.1f} kB"


def points(difference: float, digits: int = 1) -> str:
    """Writes the size of a difference between two shares, without its sign.

    Example:
        >>> points(-0.0042, 2), points(0.01)
        ('0.42 points', '1.0 point')
    """
    size = f"{abs(100 * difference):.{digits}f}"
    return f"{size} point" if float(size) == 1 else f"{size} points"


def gained(difference: float, digits: int = 2) -> str:
    """Says which way a difference goes, so that no reader has to look for a sign.

    Example:
        >>> gained(0.0042), gained(-0.0042), gained(0.0)
        ('gained 0.42 points', 'lost 0.42 points', 'changed nothing')
    """
    if round(100 * difference, digits) == 0:
        return "changed nothing"
    return f"{'gained' if difference > 0 else 'lost'} {points(difference, digits)}"


def more_or_less(difference: float, digits: int = 2) -> str:
    """Says how one share compares with another.

    Example:
        >>> more_or_less(0.0042), more_or_less(-0.01, 1), more_or_less(0.0)
        ('0.42 points more', '1.0 point less', 'no difference')
    """
    if round(100 * difference, digits) == 0:
        return "no difference"
    return f"{points(difference, digits)} {'more' if difference > 0 else 'less'}"


def interval(low: float, high: float, digits: int = 2) -> str:
    """Writes the interval of a difference, its signs in words.

    Example:
        >>> interval(-0.01, 0.012)
        '1.00 points less to 1.20 more'
        >>> interval(0.01, 0.02, 1), interval(-0.02, -0.01, 1)
        ('1.0 to 2.0 points more', '1.0 to 2.0 points less')
    """
    ends = [f"{abs(100 * end):.{digits}f}" for end in (low, high)]
    if low < 0 < high:
        return f"{ends[0]} points less to {ends[1]} more"
    return f"{' to '.join(sorted(ends, key=float))} points {'less' if low < 0 else 'more'}"


def on_rows(share: float, rows: int, kind: str) -> str:
    """Writes a share together with the rows that it was counted on.

    Args:
        share: The share of the rows.
        rows: How many there are of that kind; with none, the share is of the training rows.
        kind: What they are for, such as ``"validation"``.

    Example:
        >>> on_rows(0.984, 252, "validation")
        '98.4 % of 252 validation rows'
        >>> on_rows(0.75, 8, "validation")
        '75.0 % of 8 validation rows, too few to tell'
        >>> on_rows(1.0, 0, "validation")
        '100.0 % of its own training rows, as there are none for validation'
    """
    if not rows:
        return f"{percent(share)} of its own training rows, as there are none for {kind}"
    counted = f"{percent(share)} of {rows:,} {kind} rows"
    return counted if rows >= FEW_ROWS else f"{counted}, too few to tell"
