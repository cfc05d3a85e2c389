"""Does the generator copy its training samples? Nearest neighbours tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.neighbors import NearestNeighbors

from keras_ganaccel.errors import InvalidInputError
from keras_ganaccel.metrics.arrays import feature_array


def memorization_report(
    generated: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    extractor: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    percentile: float = 5.0,
    pictures: int = 8,
) -> dict[str, Any]:
    """Compares how near generated and held-out real samples come to the training samples.

    A generator that learnt the distribution comes as near to its training samples as new real
    samples do; one that copies comes nearer. (Meehan et al., "A Non-Parametric Test to Detect
    Data-Copying", arXiv 2004.05675, rests on the same comparison.) A sign that copies were found
    is a share far above the expected one; a low share is no proof of privacy.

    Args:
        generated: Generated images, shape ``(n, height, width, channels)``, in [0, 1].
        train: The images that the generator was trained on, as above.
        held_out: Real images that it has not seen, as above.
        extractor: Images to features ``(n, d)``, such as a `FeatureExtractor`; pixels are
            compared in any case.
        percentile: Which percentile of the held-out distances counts as suspiciously near.
        pictures: How many of the nearest generated samples to name.

    Returns:
        For ``"pixel"`` and, with an extractor, ``"feature"``: ``threshold`` (the held-out
        distances' percentile), ``share`` of generated samples no farther than it, the
        ``expected_share`` without copying, ``share_stderr`` (binomial, of the share),
        ``generated_median`` and ``held_out_median`` distances, and the rows of the ``pictures``
        nearest pairs, nearest first: ``generated_rows``, ``train_rows`` and their ``distances``.
        Beside them the counts ``generated``, ``train`` and ``held_out``. JSON-ready.

    Raises:
        InvalidInputError: A set is empty, holds values that are not finite, or does not fit the
            others; or the percentile lies outside (0, 100).

    Example:
        >>> import keras_ganaccel as ga
        >>> import numpy as np
        >>> train, held_out = np.random.default_rng(0).random((2, 50, 8, 8, 1), dtype=np.float32)
        >>> report = ga.memorization_report(train[:10], train, held_out)
        >>> report["pixel"]["share"], report["pixel"]["generated_median"]
        (1.0, 0.0)
    """
    if not 0.0 < percentile < 100.0:
        raise InvalidInputError(
            f"`percentile` must lie between 0 and 100. Received: {percentile}. "
            "5 asks how many are nearer than the nearest 5 % of held-out samples."
        )
    images = {"generated": generated, "train": train, "held_out": held_out}
    spaces = {"pixel": {name: np.asarray(each) for name, each in images.items()}}
    if extractor is not None:
        spaces["feature"] = {name: extractor(each) for name, each in images.items()}
    report: dict[str, Any] = {name: len(each) for name, each in images.items()}
    for space, arrays in spaces.items():
        features = {name: feature_array(name, each) for name, each in arrays.items()}
        if len({each.shape[1] for each in features.values()}) > 1:
            shapes = [np.shape(each)[1:] for each in images.values()]
            raise InvalidInputError(
                f"All images must have one shape. Received: {shapes}. "
                "Give generated, training and held-out images of the same data."
            )
        report[space] = _compare(features, percentile, pictures)
    return report


def memorization_figure(
    report: dict[str, Any], generated: np.ndarray, train: np.ndarray, space: str = "pixel"
) -> Figure:
    """Draws the most suspicious generated samples above their nearest training samples.

    Args:
        report: From `memorization_report`, on these images.
        generated: The generated images of the report, in [0, 1].
        train: Its training images.
        space: ``"pixel"`` or ``"feature"``.

    Returns:
        A figure of two rows: generated, and the nearest training sample with its distance.
    """
    pairs = report[space]
    columns = max(len(pairs["generated_rows"]), 1)
    figure = Figure(figsize=(1.0 * columns + 1.2, 3.0), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    rows = (("generated", generated, "generated_rows"), ("training", train, "train_rows"))
    for line, (title, images, key) in zip(axes, rows, strict=True):
        line[0].set_ylabel(title)
        for axis, row in zip(line, pairs[key], strict=True):
            axis.imshow(np.squeeze(np.clip(images[row], 0, 1)), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
    for axis, distance in zip(axes[1], pairs["distances"], strict=True):
        axis.set_xlabel(f"{distance:.2f}", fontsize=8)
    figure.suptitle(
        f"Nearest pairs ({space} distance): {pairs['share']:.1%} of generated samples are within "
        f"{pairs['threshold']:.2f}, expected {pairs['expected_share']:.1%}",
        fontsize=8,
    )
    return figure


def _compare(features: dict[str, np.ndarray], percentile: float, pictures: int) -> dict[str, Any]:
    neighbours = NearestNeighbors(n_neighbors=1).fit(features["train"])
    distances, rows = (each[:, 0] for each in neighbours.kneighbors(features["generated"]))
    held_out = neighbours.kneighbors(features["held_out"])[0][:, 0]
    threshold = np.percentile(held_out, percentile)
    share = (distances <= threshold).mean()
    nearest = np.argsort(distances, kind="stable")[:pictures]
    return {
        "threshold": float(threshold),
        "share": float(share),
        "expected_share": float((held_out <= threshold).mean()),
        "share_stderr": float(np.sqrt(share * (1.0 - share) / len(distances))),
        "generated_median": float(np.median(distances)),
        "held_out_median": float(np.median(held_out)),
        "generated_rows": nearest.tolist(),
        "train_rows": rows[nearest].tolist(),
        "distances": distances[nearest].tolist(),
    }
