"""Tiny archives for the tests of posepile_torch.archive; imports neither torch nor pytest."""

import functools
from pathlib import Path

import numpy as np

from posepile_torch.archive import ArchiveHeader, ArchiveWriter
from posepile_torch.camera import Camera
from posepile_torch.images import encode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.record import BodyParameters, Record
from posepile_torch.skeleton import Skeleton

SKELETON = Skeleton.parse(
    "toy_5",
    joints="pelv rhip lhip neck head",
    edges="pelv-rhip,pelv-lhip,pelv-neck-head",
)
WIDTH, HEIGHT = 24, 16
SHARD_LIMIT_BYTES = 6000  # several shards from a few records


def header(**changes):
    values = {"source": "toy", "skeleton": SKELETON, "plan": {"step_mm": 100}, **changes}
    return ArchiveHeader(**values)


@functools.cache
def jpeg(i):
    rng = np.random.default_rng(i % 50)
    return encode_jpeg(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def camera():
    K = np.array([[40.0, 0, 11.5], [0, 40.0, 7.5], [0, 0, 1]])
    return Camera(R=np.eye(3), t=np.zeros(3), K=K, size=(WIDTH, HEIGHT))


def record(i, **changes):
    rng = np.random.default_rng([7, i])
    joints3d = np.array(
        [[0, 0, 0], [-130, 20, 0], [130, 20, 0], [0, -500, 0], [0, -700, 0]], float
    )
    joints3d = joints3d + rng.normal(0, 20, joints3d.shape) + [0, 300, 4000]
    joints2d = camera().project(joints3d)
    joints3d[i % 5] = np.nan
    if i % 4 == 3:
        joints2d[:] = np.nan
    low, high = np.nanmin(camera().project(joints3d), 0), np.nanmax(camera().project(joints3d), 0)
    values = {
        "id": f"seq{i % 3}/cam{i % 2}/{i:05d}_00",
        "split": ("train", "train", "val", "test")[i % 4],
        "image_key": f"seq{i % 3}/cam{i % 2}/{i:05d}.jpg",
        "image_size": (WIDTH, HEIGHT),
        "box": [*low, *(high - low)],
        "camera": camera(),
        "joints3d": joints3d,
        "joints2d": joints2d,
        "visible": np.ones(5, np.int8),
        "confidence": np.linspace(0, 1, 5),
        "person_mask": mask(i),
        "body": BodyParameters(
            model="smpl",
            gender="neutral",
            pose=rng.normal(size=72),
            betas=np.zeros(10),
            translation=[0, 0, 4.0],
        )
        if i % 3 == 0
        else None,
        "subject": f"S{i % 5}",
        "sequence": f"seq{i % 3}",
        "camera_name": f"cam{i % 2}",
        "activity": ("Walking", "Sitting", None)[i % 3],
        "scene": "studio",
        "track": f"{i % 7:03d}",
        "frame": i,
        "raw": {"file": f"videos/{i % 3}.mp4", "frame": i},
    }
    return Record(**{**values, **changes})


@functools.cache
def mask(i):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[4 : 5 + i % 8, 6:14] = 1
    return Mask.from_array(pixels)


def write_items(writer, count, start=0):
    """Add items ``start`` to ``count``, with a checkpoint behind each."""
    for i in range(start, count):
        if i % 10 == 9:
            writer.skip("every tenth is skipped", f"item {i}")
        else:
            writer.add_image(f"seq{i % 3}/cam{i % 2}/{i:05d}.jpg", jpeg(i))
            writer.add(record(i))
        writer.checkpoint({"next": i + 1})


def resume_at(writer):
    return 0 if writer.resumed_state is None else writer.resumed_state["next"]


def open_writer(root, name="toy", **options):
    options = {"shard_limit_bytes": SHARD_LIMIT_BYTES, "checkpoint_every": 4, **options}
    return ArchiveWriter(root, name, header=options.pop("header", header()), **options)


def build(root, count=30, name="toy", **options):
    """Write and publish an archive of ``count`` items (nine of ten become records)."""
    with open_writer(root, name, **options) as writer:
        write_items(writer, count, resume_at(writer))
        return writer.publish()


def contents(folder):
    """Return name to bytes of every file of an archive folder."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
