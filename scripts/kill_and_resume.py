"""Kills a GAN training at random moments, resumes it each time, and compares the final weights.

    python scripts/kill_and_resume.py --kills 20

The uninterrupted training and the killed one must end on the same bits.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_TRAINING = "--train"


def train(folder: str, steps: int, every: int) -> None:
    """Trains in this process, with checkpoints in the folder, and saves the final state there."""
    from sklearn.datasets import load_digits

    from keras_ganaccel.checkpoint import model_state
    from keras_ganaccel.gan.conditional_gan import ConditionalGAN
    from keras_ganaccel.gan.networks import build_discriminator, build_generator
    from keras_ganaccel.gan.train import train_gan
    from keras_ganaccel.modality.image.spec import DataSpec

    digits = load_digits()
    x = (digits.images[:600, ..., None] / 16.0).astype(np.float32)
    spec = DataSpec(8, 8, 1, tuple("0123456789"))
    gan = ConditionalGAN(
        build_generator(spec, 16, architecture="subpixel", width=8),
        build_discriminator(spec, architecture="convolutional", width=8),
        latent_dim=16,
        num_classes=10,
        adaptive_augmentation=True,
        lecam_weight=0.01,
    )
    gan.compile()
    train_gan(
        gan,
        x,
        digits.target[:600],
        steps=steps,
        batch_size=16,
        checkpoint_dir=Path(folder) / "checkpoints",
        checkpoint_every=every,
        steps_per_execution=10,
    )
    np.savez(Path(folder) / "final.npz", **model_state(gan))


def run(folder: Path, steps: int, every: int) -> subprocess.Popen:
    """Starts `train` in a process of its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__, _TRAINING, str(folder), str(steps), str(every)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint, 0 without any."""
    return max((int(path.stem[6:]) for path in folder.glob("checkpoints/state-*.ckpt")), default=0)


def kill_over_and_over(folder: Path, kills: int, steps: int, every: int, seconds: float) -> int:
    """Kills the training `kills` times, then lets it end.

    Each attempt may get on by its share of the steps before it is killed, or is killed earlier, at
    a random moment: at the start, while training, or while a checkpoint is written.

    Returns:
        How many kills hit a training that was still running.
    """
    generator = random.Random(0)
    done = 0
    for attempt in range(kills):
        process = run(folder, steps, every)
        share = steps * (attempt + 1) // (kills + 1)
        deadline = time.monotonic() + generator.uniform(0.0, 2.0 * seconds)
        while (
            process.poll() is None and newest_step(folder) < share and time.monotonic() < deadline
        ):
            time.sleep(0.002)
        time.sleep(generator.uniform(0.0, 0.1))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            done += 1
        process.wait()
        print(f"kill {attempt + 1}: last checkpoint at step {newest_step(folder)}", flush=True)
    if run(folder, steps, every).wait():
        raise SystemExit("the resumed training failed")
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--every", type=int, default=20, help="steps between checkpoints")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = Path(temporary, "whole"), Path(temporary, "killed")
        start = time.monotonic()
        if run(whole, arguments.steps, arguments.every).wait():
            raise SystemExit("the uninterrupted training failed")
        seconds = time.monotonic() - start
        count = kill_over_and_over(
            killed, arguments.kills, arguments.steps, arguments.every, seconds
        )
        expected, found = (np.load(folder / "final.npz") for folder in (whole, killed))
        different = [
            name for name in expected.files if expected[name].tobytes() != found[name].tobytes()
        ]
    print(f"{count} kills, {len(expected.files)} variables, {len(different)} differ: {different}")
    return 1 if different or set(expected.files) != set(found.files) else 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.argv[1:2] == [_TRAINING]:
        train(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main())
