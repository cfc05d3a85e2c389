"""Pictures of many images: a row for each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_LEAST_SIDE = 32
_GAP = 2
_FONT_SIZE = 14


def grid_image(
    images: np.ndarray, labels: np.ndarray, class_names: Sequence[str] | None = None
) -> Image.Image:
    """Draws images, a row for each class with its name; small ones are magnified unsmoothed.

    Args:
        images: Shape ``(n, height, width, channels)``, float, in [0, 1].
        labels: Their classes, shape ``(n,)``, integers.
        class_names: One name per class; by default the integer labels.

    Returns:
        An RGB picture.
    """
    classes, counts = np.unique(labels, return_counts=True)
    names = [class_names[label] if class_names else str(label) for label in classes]
    scale = -(-_LEAST_SIDE // min(images.shape[1:3]))
    cell_height, cell_width = (side * scale + _GAP for side in images.shape[1:3])
    body = np.full((len(classes) * cell_height, max(counts) * cell_width, 3), 255, np.uint8)
    for row, label in enumerate(classes):
        for column, image in enumerate(images[labels == label]):
            pixels = np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
            pixels = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
            top, left = row * cell_height, column * cell_width
            body[top : top + len(pixels), left : left + pixels.shape[1]] = pixels

    font = ImageFont.load_default(_FONT_SIZE)
    margin = round(max(font.getlength(name) for name in names)) + 4 * _GAP
    picture = Image.new("RGB", (margin + body.shape[1], body.shape[0]), "white")
    picture.paste(Image.fromarray(body), (margin, 0))
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        middle = row * cell_height + (cell_height - _GAP) // 2
        pen.text((margin - 2 * _GAP, middle), name, fill="black", font=font, anchor="rm")
    return picture
