"""Backbones of `keras.applications` as classifiers of images in [0, 1] of any size."""

from __future__ import annotations

import keras

from keras_ganaccel.errors import InvalidInputError, reason_of

# What each backbone was made for: (smallest side, what its first layer wants).
# "signed": [-1, 1] · "caffe": BGR minus the mean, in [0, 255] · "torch": standardised RGB ·
# "raw": [0, 255], the backbone normalises by itself.
_BACKBONES: dict[str, tuple[int, str]] = {
    **dict.fromkeys(("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19"), (32, "caffe")),
    **dict.fromkeys(("ResNet50V2", "ResNet101V2", "ResNet152V2"), (32, "signed")),
    **dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201"), (32, "torch")),
    **dict.fromkeys(("MobileNet", "MobileNetV2"), (32, "signed")),
    **dict.fromkeys(("MobileNetV3Small", "MobileNetV3Large"), (32, "raw")),
    **dict.fromkeys((f"EfficientNetB{index}" for index in range(8)), (32, "raw")),
    **dict.fromkeys((f"EfficientNetV2B{index}" for index in range(4)), (32, "raw")),
    **dict.fromkeys(("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L"), (32, "raw")),
    **dict.fromkeys(
        (f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large")), (32, "raw")
    ),
    **dict.fromkeys(("InceptionV3", "InceptionResNetV2"), (75, "signed")),
    "Xception": (71, "signed"),
}
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # red, green, blue
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def application_names() -> tuple[str, ...]:
    """Returns the names of the backbones that `build_application` knows."""
    return tuple(_BACKBONES)


def build_application(
    name: str, image: keras.KerasTensor, weights: str | None = None
) -> keras.KerasTensor:
    """Puts a backbone, with the preprocessing that it was made for, behind an input.

    Images smaller than the backbone takes are enlarged; grey ones become three equal channels.

    Args:
        name: One of `application_names`.
        image: The input, float32 ``(batch, height, width, 1 or 3)`` in [0, 1].
        weights: None for initial weights, ``"imagenet"``, or the path of a weights file.

    Returns:
        The pooled features, ``(batch, features)``.

    Raises:
        InvalidInputError: The weights cannot be loaded.
    """
    smallest, wanted = _BACKBONES[name]
    height, width, channels = image.shape[1:]
    x = image
    if min(height, width) < smallest:
        x = keras.layers.Resizing(max(height, smallest), max(width, smallest), name="enlarge")(x)
    if channels == 1:
        x = keras.layers.Concatenate(name="grey_to_rgb")([x, x, x])
    x = _preprocessed(x, wanted)
    arguments = {"include_preprocessing": True} if "V3S" in name or "V3L" in name else {}
    try:
        backbone = getattr(keras.applications, name)(
            include_top=False, weights=weights, input_tensor=x, pooling="avg", **arguments
        )
    except (OSError, ValueError) as error:
        if weights is None:
            raise
        raise InvalidInputError(
            f"The weights of {name} cannot be loaded. Received: {weights!r} "
            f"({reason_of(error, 100)}). Pass None to start from initial weights."
        ) from None
    if weights is not None and wanted == "caffe":
        _take_rgb(backbone)
    return backbone.output


def _preprocessed(x: keras.KerasTensor, wanted: str) -> keras.KerasTensor:
    scale: list[float] | float
    offset: list[float] | float
    if wanted == "signed":
        scale, offset = 2.0, -1.0
    elif wanted == "caffe":
        scale, offset = 255.0, [-mean for mean in _CAFFE_MEAN]
    elif wanted == "torch":
        scale = [1.0 / std for std in _TORCH_STD]
        offset = [-mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD, strict=True)]
    else:
        scale, offset = 255.0, 0.0
    return keras.layers.Rescaling(scale, offset, name="preprocessing")(x)


def _take_rgb(backbone: keras.Model) -> None:
    """Turns the first convolution, trained on BGR, into the same one for RGB: no op is needed."""
    stem = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D))
    kernel, *rest = stem.get_weights()
    stem.set_weights([kernel[:, :, ::-1, :], *rest])
