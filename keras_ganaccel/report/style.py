"""How every figure of the report looks, and how it becomes text that a page can hold."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib
from matplotlib.figure import Figure

INK, SOFT, LINE = "#1d2430", "#5b6676", "#dde2ea"
BLUE, ORANGE, GREY = "#1f5fa8", "#c8622c", "#8a94a3"

_SETTINGS: dict[Any, Any] = {
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "svg.hashsalt": "keras_ganaccel",  # the same figures give the same bytes
}

_P = ParamSpec("_P")


def data_uri(image: bytes, kind: str = "png") -> str:
    """Returns an image as text that a page can hold.

    Args:
        image: The bytes of its file.
        kind: What follows ``image/`` in its media type.
    """
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def as_svg(draw: Callable[_P, Figure]) -> Callable[_P, str]:
    """Turns a function that draws a figure into one that returns it as an SVG data URI.

    The style holds only while the figure is drawn: matplotlib's settings are left as they were,
    and pyplot is not involved.
    """

    @functools.wraps(draw)
    def svg(*args: _P.args, **kwargs: _P.kwargs) -> str:
        return data_uri(_drawn(draw, "svg", *args, **kwargs), "svg+xml")

    return svg


def as_png(draw: Callable[_P, Figure]) -> Callable[_P, bytes]:
    """Turns a function that draws a figure into one that returns the bytes of a PNG file."""

    @functools.wraps(draw)
    def png(*args: _P.args, **kwargs: _P.kwargs) -> bytes:
        return _drawn(draw, "png", *args, **kwargs)

    return png


def _drawn(
    draw: Callable[_P, Figure], file_format: str, *args: _P.args, **kwargs: _P.kwargs
) -> bytes:
    with matplotlib.rc_context(_SETTINGS):
        return render(draw(*args, **kwargs), file_format)


def render(figure: Figure, file_format: str) -> bytes:
    """Returns a figure as the bytes of a file, without the date in it.

    Args:
        figure: The figure.
        file_format: ``"svg"`` or ``"png"``.
    """
    buffer = io.BytesIO()
    metadata = {"Date": None} if file_format == "svg" else None
    figure.savefig(buffer, format=file_format, metadata=metadata, dpi=150)
    return buffer.getvalue()
