"""Run in a process of its own: hold a file in memory in one way, and say what that takes.

    python _holding.py WAY PATH

Answers each line on standard input with one of JSON: "hold" takes the file in, "memory" tells what
this process uses. Imports as little as it can, so that the file is most of it.
"""

import json
import mmap
import sys

import psutil

PAGE = mmap.PAGESIZE


def memory(process: psutil.Process) -> dict:
    """Bytes of memory, as the system counts them; None where it does not."""
    used = process.memory_full_info()
    return {f"{key}_bytes": getattr(used, key, None) for key in ("rss", "pss", "uss")}


def hold(way: str, path: str) -> object:
    """The file in memory; what is returned keeps it there."""
    with open(path, "rb") as file:
        if way == "read":
            return file.read()
        if way == "read and copy":
            data = file.read()
            return data, bytearray(data)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if way == "map and touch pages":
            for start in range(0, len(mapped), PAGE):
                mapped[start]
        return mapped


def main(way: str, path: str) -> None:
    """Answer until standard input ends."""
    process, held = psutil.Process(), None
    for line in sys.stdin:
        if line.strip() == "hold":
            held = hold(way, path)
        print(json.dumps(memory(process)), flush=True)
    del held


if __name__ == "__main__":
    main(*sys.argv[1:])
