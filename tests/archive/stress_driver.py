"""Many readers of one archive at once; run as a script: python stress_driver.py ARCHIVE READS

16 threads, 6 children forked while the threads are reading, and 4 spawned processes share the
reads. Prints one JSON object; the test judges it.
"""

import json
import multiprocessing
import os
import random
import sys
import threading
import warnings
from pathlib import Path

import archive_toys as toys

from posepile_torch.archive import open_archive

THREADS, FORKED, SPAWNED = 16, 6, 4


# Made before any thread or child exists: readers compare, and do nothing else.
EXPECTED = {i: (toys.record(i).id, toys.jpeg(i)) for i in range(300)}


def read_some(archive, seed, count):
    """Read ``count`` random rows and compare them with what was written; return the errors."""
    rng = random.Random(seed)
    errors = []
    for _ in range(count):
        row = rng.randrange(len(archive))
        try:
            name, image = EXPECTED[int(archive.index["frame"][row])]
            if archive.record(row).id != name:
                errors.append(f"row {row}: another record")
            if archive.image_bytes(row) != image:
                errors.append(f"row {row}: another image")
        except Exception as error:
            errors.append(f"row {row}: {error!r}")
    return errors


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def spawned(archive, seed, count, queue):
    for row in archive.split_range():
        archive.record(row)
        archive.image_bytes(row)
    before = descriptors()
    errors = read_some(archive, seed, count)
    if descriptors() != before:
        errors.append(f"descriptors grew from {before} to {descriptors()}")
    if "torch" in sys.modules:
        errors.append("a reader imported torch")
    queue.put(errors)


def fork_reader(archive, seed, count):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            errors = read_some(archive, seed, count)
            for error in errors[:5]:
                sys.stderr.write(error + "\n")
            code = 0 if not errors else 1
        finally:
            os._exit(code)
    return pid


def main(path, reads):
    archive = open_archive(path)
    each = -(-reads // (THREADS + FORKED + SPAWNED))
    errors, done = [], []
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [
        context.Process(target=spawned, args=(archive, 1000 + i, each, queue))
        for i in range(SPAWNED)
    ]
    for process in processes:
        process.start()
    barrier = threading.Barrier(THREADS)

    def in_thread(seed):
        barrier.wait()  # all threads open the shards in the same moment
        errors.extend(read_some(archive, seed, each))
        done.append(each)

    threads = [threading.Thread(target=in_thread, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the test
    children = [fork_reader(archive, 100 + i, each) for i in range(FORKED)]
    for thread in threads:
        thread.join()
    failed_children = sum(os.waitpid(pid, 0)[1] != 0 for pid in children)
    for _ in processes:
        errors.extend(queue.get(timeout=120))
    for process in processes:
        process.join()
    before = descriptors()
    errors += read_some(archive, 7, 500)
    return {
        "reads": each * (len(done) + FORKED + SPAWNED),
        "errors": errors[:10],
        "failed_children": failed_children,
        "descriptor_growth": descriptors() - before,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
