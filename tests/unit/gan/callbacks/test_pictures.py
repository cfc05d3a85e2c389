import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ganaccel.gan.callbacks import SampleGrid, TensorBoardImages
from keras_ganaccel.modality.image.pictures import grid_image


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (5, 9, 3), (40, 33, 1)])
def test_a_grid_shows_every_sample_in_its_row(height, width, channels):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(5, height, width, channels)).astype(np.float32)
    labels = np.array([0, 2, 0, 2, 2])  # class 1 has no sample, class 0 one less
    names = ["ant", "bee", "a long name"]
    picture = np.asarray(grid_image(images, labels, names))
    scale = -(-32 // min(height, width))
    cell_height, cell_width = height * scale + 2, width * scale + 2
    margin = picture.shape[1] - 3 * cell_width
    assert picture.shape == (2 * cell_height, margin + 3 * cell_width, 3)
    for row, rows in enumerate(([0, 2], [1, 3, 4])):
        for column, index in enumerate(rows):
            top, left = row * cell_height, margin + column * cell_width
            cell = picture[top : top + height * scale : scale, left : left + width * scale : scale]
            expected = np.broadcast_to(images[index] * 255, (height, width, 3))
            np.testing.assert_allclose(cell, expected, atol=0.51)
        name = picture[row * cell_height : (row + 1) * cell_height, :margin]
        assert name.min() < 128  # the class is written beside its row
    assert (picture[:cell_height, margin + 2 * cell_width :] == 255).all()


def test_pngs_come_at_their_steps_and_repeat(gan, drive, tmp_path):
    grid = SampleGrid(tmp_path / "samples", every=4, columns=2, class_names=("ant", "bee", "cat"))
    drive(grid, gan, [2, 4, 6, 8, 9])
    grid.on_train_end()
    files = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert files == ["step_000004.png", "step_000008.png", "step_000009.png"]
    first, last = (Image.open(tmp_path / "samples" / name) for name in (files[0], files[-1]))
    # The same weights and latent points: the same picture.
    np.testing.assert_array_equal(np.asarray(first), np.asarray(last))
    labels = np.array([0, 0, 1, 1, 2, 2])
    samples = gan.generate(labels, seed=0)
    expected = grid_image(samples, labels, ("ant", "bee", "cat"))
    np.testing.assert_array_equal(np.asarray(first), np.asarray(expected))


def test_tensorboard_gets_the_same_picture(gan, drive, tmp_path):
    board = TensorBoardImages(tmp_path, every=4, columns=2)
    drive(board, gan, [4, 8])
    board.on_train_end()
    (events,) = (tmp_path / "train").iterdir()
    images = {}
    for record in tf.data.TFRecordDataset(str(events)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "images"
            width, height, png = value.tensor.string_val  # the layout of TensorBoard's plugin
            images[event.step] = (value.tag, tf.io.decode_png(png).numpy())
            assert images[event.step][1].shape == (int(height), int(width), 3)
    assert sorted(images) == [4, 8]
    tag, picture = images[8]
    assert tag == "generated"
    np.testing.assert_array_equal(picture, np.asarray(board.picture()))
