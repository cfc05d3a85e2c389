"""Starts a training on several local worker processes, as `MultiWorkerMirroredStrategy` wants them.

    python scripts/launch_workers.py --workers 2 -- ganaccel run --strategy multiworker

Every worker runs the same command; which one it is stands in TF_CONFIG. On several machines, set
TF_CONFIG on each by hand: the same list of host:port, and each machine's own index. The first
worker is the chief, which writes the files; what the others print is left out here, but for
errors.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time


def free_ports(count: int) -> list[int]:
    """Finds ports that nothing listens on at present."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for opened in sockets:
            opened.bind(("localhost", 0))
        return [opened.getsockname()[1] for opened in sockets]
    finally:
        for opened in sockets:
            opened.close()


def launch(command: list[str], workers: int) -> list[subprocess.Popen]:
    """Starts the command once per worker.

    Args:
        command: The program and its arguments.
        workers: How many processes.

    Returns:
        The processes, the chief first.
    """
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(workers)]}
    processes = []
    for index in range(workers):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                command,
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
                stdout=subprocess.DEVNULL if index else None,
            )
        )
    return processes


def wait(processes: list[subprocess.Popen]) -> int:
    """Waits until all have ended, or one has failed: the others then wait for it in vain.

    Returns:
        0, or the exit code of the worker that failed.
    """
    try:
        while any(process.poll() is None for process in processes):
            failed = [process.returncode for process in processes if process.returncode]
            if failed:
                return failed[0]
            time.sleep(0.1)
        return next((process.returncode for process in processes if process.returncode), 0)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    arguments = parser.parse_args()
    command = [part for part in arguments.command if part != "--"]
    if not command or arguments.workers < 1:
        parser.error("give a command after --, and at least one worker")
    return wait(launch(command, arguments.workers))


if __name__ == "__main__":
    sys.exit(main())
