"""What an index of millions of records costs, beside the usual ways of listing samples.

    python perf/index_scale.py [--rows 13000000] [--peer-rows 1000000] [--workers 4] [--json]

Three ways of getting from a sample number to the place of its bytes, each opened once, carried
over a fork into the workers (as a PyTorch DataLoader does) and looked up in a shuffled order:

- ``index``: the memory-mapped ``index.npy`` of an archive, opened by ``Archive``;
- ``path list``: a Python list of path strings, the way of most dataset classes;
- ``sqlite``: a list of row numbers and a path lookup in the BareCat container's SQLite index.

Private memory is what a worker alone occupies (``Private_Clean + Private_Dirty`` of
``/proc/self/smaps_rollup``, so Linux only), taken while all workers are alive, minus what it
was right after the fork. Times are CPU times of the workers. The peers run at ``--peer-rows``
because at 13 million rows the path list alone would take about 8 GB; their ratios are against
the index at the same number of rows.
"""

import argparse
import json
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from posepile_torch.archive import Archive
from posepile_torch.archive.containers import write_container_index
from posepile_torch.archive.index import write_index
from posepile_torch.archive.layout import (
    ANNOTATIONS,
    CONTAINERS,
    IMAGES,
    INDEX_DTYPE,
    INDEX_FILE,
    MANIFEST_FILE,
    VOCABULARY_FIELDS,
    shard_name,
)
from posepile_torch.archive.manifest import Manifest, Totals, digest_of
from posepile_torch.archive.storage import describe_file
from posepile_torch.record import Precision
from posepile_torch.skeletons import get

MB = 1e6
CHUNK_ROWS = 1 << 20
STRIDE = 7_368_787  # a prime far from any page or row size: visits rows in a scattered order


def scattered(worker, workers, rows):
    """Yield this worker's share of a shuffled pass without a permutation in memory."""
    for i in range(worker, rows, workers):
        yield i * STRIDE % rows


def path_of(row):
    """A path as long as those of real datasets."""
    return f"h36m/S{row % 11}/Images/Walking 1.54138969/{row // 100:07d}/{row:012d}.jpg"


# ---- the three ways: what lies on disk, and (after the fork) how a row is looked up ----


def open_index(folder, rows):
    """Rows of a memory-mapped index."""
    index = Archive(folder).index
    return lambda: lambda row: index[row].item()


def open_path_list(folder, rows):
    """Python strings in a list."""
    paths = [path_of(row) for row in range(rows)]
    return lambda: lambda row: paths[row]


def open_sqlite(folder, rows):
    """Path lookups in the index of a BareCat container."""

    def connect():
        # One connection per process: SQLite must not be carried over a fork.
        database = sqlite3.connect(f"file:{folder / IMAGES}?mode=ro", uri=True)
        query = "SELECT shard, offset, size, crc32c FROM files WHERE path = ?"
        return lambda row: database.execute(query, (path_of(row),)).fetchone()

    return connect


def make_nothing(folder, rows):
    """Prepare a way that reads no file."""


def make_container(folder, rows):
    """Write the SQLite index of a container with one entry per row."""
    entries = ((path_of(row), 0, row * 100, 100, row) for row in range(rows))
    write_container_index(folder / IMAGES, entries, 2**40)


def make_archive(folder, rows):
    """Write an archive whose index has ``rows`` rows; its shards hold nothing."""
    for container in CONTAINERS:
        write_container_index(folder / container, [], 2**40)
        (folder / shard_name(container, 0)).touch()
    write_index(folder / INDEX_FILE, rows, synthetic_rows(rows))
    names = sorted(path.name for path in folder.iterdir())
    skeleton = get("h36m_17")
    unknown = (None,) * len(skeleton.edges)
    manifest = Manifest(
        source="synthetic",
        skeleton=skeleton,
        card_digest="",
        plan={},
        plan_digest=digest_of({}),
        converter_version="",
        library_version="",
        hints={},
        precision=Precision(),
        raw_files={},
        units={},
        totals=Totals(
            records=rows, images=rows, splits={"train": rows, "val": 0, "test": 0}, having={}
        ),
        skipped={},
        mean_bone_lengths_mm={"train": unknown, "trainval": unknown},
        vocabularies=dict.fromkeys(VOCABULARY_FIELDS, ("a",)),
        shard_limit_bytes=2**40,
        content_digests={ANNOTATIONS: "", IMAGES: ""},
        files={name: describe_file(folder / name) for name in names},
    )
    (folder / MANIFEST_FILE).write_bytes(manifest.to_bytes())


def synthetic_rows(rows):
    """Yield index rows with the address pattern of a real archive."""
    for start in range(0, rows, CHUNK_ROWS):
        chunk = np.zeros(min(CHUNK_ROWS, rows - start), INDEX_DTYPE)
        number = np.arange(start, start + len(chunk))
        chunk["image_offset"] = number * 77_000
        chunk["annotation_offset"] = number * 1_500
        chunk["image_bytes"], chunk["annotation_bytes"] = 77_000, 1_500
        chunk["image_crc32c"] = chunk["annotation_crc32c"] = number * 2_654_435_761 % 2**32
        chunk["frame"] = number
        yield chunk


WAYS = {
    "index": (make_archive, open_index),
    "path list": (make_nothing, open_path_list),
    "sqlite": (make_container, open_sqlite),
}


# ---- measuring ----


def private_mb():
    """Memory of this process that no other process shares."""
    text = Path("/proc/self/smaps_rollup").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return sum(int(fields[n].split()[0]) for n in ("Private_Clean", "Private_Dirty")) * 1024 / MB


def work(connect, worker, workers, rows, barrier, queue):
    """Look up one worker's share of the rows; report CPU time and memory."""
    before_mb = private_mb()
    get = connect()
    start = time.process_time()
    checked = 0
    for row in scattered(worker, workers, rows):
        checked += get(row) is not None
    seconds = time.process_time() - start
    barrier.wait()  # shared pages count as private once nobody else maps them
    grown_mb = private_mb() - before_mb
    barrier.wait()
    queue.put({"rows": checked, "cpu_s": seconds, "private_mb": grown_mb})


def measure_here(way, folder, rows, workers):
    """Open, fork, look up; in a process of its own, so that nothing is left behind."""
    start = time.perf_counter()
    connect = WAYS[way][1](folder, rows)
    open_s = time.perf_counter() - start
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(workers), context.Queue()
    processes = [
        context.Process(target=work, args=(connect, i, workers, rows, barrier, queue))
        for i in range(workers)
    ]
    for process in processes:
        process.start()
    results = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    if sum(result["rows"] for result in results) != rows:
        raise SystemExit(f"{way}: not every row was found")
    return {
        "way": way,
        "rows": rows,
        "open_s": open_s,
        "own_mb": private_mb(),
        "private_mb_per_worker": max(result["private_mb"] for result in results),
        "us_per_row": sum(result["cpu_s"] for result in results) / rows * 1e6,
    }


def run_alone(way, folder, rows, workers, queue):
    """Entry of the process in which one way is measured."""
    queue.put(measure_here(way, folder, rows, workers))


def measure(way, rows, workers, scratch):
    """Prepare the files of one way, then measure it in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        WAYS[way][0](folder, rows)
        queue = context.Queue()
        process = context.Process(target=run_alone, args=(way, folder, rows, workers, queue))
        process.start()
        result = queue.get()
        process.join()
    return result


def ratios(peer, index):
    """How many times more a peer needs than the index at the same number of rows."""
    floor_mb = 0.1  # below it, memory figures are noise
    return {
        "private_mb_per_worker": peer["private_mb_per_worker"]
        / max(index["private_mb_per_worker"], floor_mb),
        "own_mb": peer["own_mb"] / index["own_mb"],
        "us_per_row": peer["us_per_row"] / index["us_per_row"],
    }


def report(results):
    """Return the results as a table."""
    lines = [
        f"{'way':<11} {'rows':>11} {'open':>9} {'process':>10} {'+ per worker':>13} {'per row':>9}"
    ]
    for r in (results["index"], results["index at peer rows"], *results["peers"]):
        lines.append(
            f"{r['way']:<11} {r['rows']:>11,} {r['open_s']:>7.3f} s {r['own_mb']:>7.0f} MB "
            f"{r['private_mb_per_worker']:>10.1f} MB {r['us_per_row']:>6.2f} us"
        )
    for name, ratio in results["ratios"].items():
        lines.append(
            f"{name} / index, same rows: {ratio['private_mb_per_worker']:.0f}x the memory per "
            f"worker, {ratio['own_mb']:.1f}x the process, {ratio['us_per_row']:.1f}x the time"
        )
    return "\n".join(lines)


def main(arguments=None):
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=13_000_000)
    parser.add_argument("--peer-rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--scratch", help="folder for about 80 bytes per row")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    peer_rows = min(options.rows, options.peer_rows)
    with_options = {"workers": options.workers, "scratch": options.scratch}
    index = measure("index", options.rows, **with_options)
    same = index if peer_rows == options.rows else measure("index", peer_rows, **with_options)
    peers = [measure(way, peer_rows, **with_options) for way in ("path list", "sqlite")]
    results = {
        "cpus": os.cpu_count(),
        "workers": options.workers,
        "index": index,
        "index at peer rows": same,
        "peers": peers,
        "ratios": {peer["way"]: ratios(peer, same) for peer in peers},
    }
    sys.stdout.write((json.dumps(results, indent=2) if options.json else report(results)) + "\n")


if __name__ == "__main__":
    main()
