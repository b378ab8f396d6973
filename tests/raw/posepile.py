"""PosePile archives as PosePile wrote them: BareCat, msgpack-numpy, and its field names.

Written by hand from the description of the format, so that the library's own encoder is not the
judge of its decoder.
"""

import os
import shutil
import sqlite3
import tempfile
import zlib
from pathlib import Path

import barecat
import cv2
import msgpack_numpy
import numpy as np
import rlemasklib

from posepile_torch.images import encode_jpeg

JOINTS = ["pelv", "rhip", "lhip", "neck", "lsho", "rsho", "root"]
EDGES = [(0, 1), (0, 2), (0, 3), (3, 4), (3, 5)]
WIDTH, HEIGHT = 240, 180
ROTVEC = np.array([1.45, 0.12, -0.08], np.float32)  # roughly: z up in the world, y down in images
LOCATION = np.array([300.0, -4000.0, 1000.0], np.float32)
INTRINSICS = np.array([[450.0, 0, 119.5], [0, 452.0, 89.5]], np.float32)
POSE = np.array(
    [[0, 0, 900], [-130, 20, 880], [130, 20, 880], [0, 10, 1400],
     [180, 15, 1380], [-180, 15, 1380], [0, 0, 1150]], float
)  # fmt: skip


def image_path(i):
    return f"toy_downscaled/seq{i % 3}/cam_{i % 2}/{i:06d}.jpg"


def world(i):
    return POSE + np.random.default_rng(i).uniform(-150, 150, 3) * [1, 1, 0.2]


def project(points, distortion=None):
    """Pixels of world points, by OpenCV."""
    rotation = cv2.Rodrigues(ROTVEC.astype(float))[0]
    K = np.vstack([INTRINSICS, [0, 0, 1]]).astype(float)
    points = ((points - LOCATION) @ rotation.T)[:, None]
    zero = np.zeros(3)
    if distortion is not None and len(distortion) == 4:
        return cv2.fisheye.projectPoints(points, zero, zero, K, np.asarray(distortion))[0][:, 0]
    return cv2.projectPoints(points, zero, zero, K, distortion)[0][:, 0]


def dots(points):
    """A picture with a soft bright dot at every point."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.full((HEIGHT, WIDTH, 3), 40.0)
    for px, py in points:
        image += 200 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.3**2))[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)


def box_of(points):
    low, high = points.min(0) - 6, points.max(0) + 6
    return np.round([*low, *(high - low)]).astype(np.int16)


def sparse(coords, dtype=np.float16):
    """Rows and their numbers; no numbers where all joints are there."""
    ids = np.flatnonzero(np.isfinite(coords).all(axis=1)).astype(np.uint16)
    rows = coords[ids].astype(dtype)
    return {"rows": rows, "i_rows": ids[:0] if len(ids) == len(coords) else ids}


def camera_fields(**more):
    return {
        "rotvec_w2c": ROTVEC,
        "loc": LOCATION,
        "intr": INTRINSICS,
        "up": np.array([0, 0, 1], np.float32),
        **more,
    }


def mask_array(i):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20 : 60 + i % 7, 30:90] = 1
    return mask


def mask_fields(i):
    rle = rlemasklib.encode(mask_array(i))
    return {"size": list(rle["size"]), "zcounts": zlib.compress(rle["counts"])}


def fields_3d(i, **more):
    coords = world(i)
    if i % 3 == 1:
        coords[[1, 4]] = np.nan
    return {
        "impath": image_path(i),
        "bbox": box_of(project(world(i))),
        "joints3d": sparse(coords),
        "cam": camera_fields(),
        "mask": mask_fields(i),
        **more,
    }


def fields_2d(i, **more):
    coords = project(world(i))
    bbox = box_of(coords)
    if i % 3 == 1:
        coords[[1, 4]] = np.nan
    return {
        "impath": image_path(i),
        "bbox": bbox,
        "joints2d": sparse(coords, np.float32),
        **more,
    }


def parameters(**more):
    rng = np.random.default_rng(3)
    return {
        "type": "smplx",
        "gender": "m",
        "pose": rng.normal(size=(55, 3)).astype(np.float32),
        "shape": rng.normal(size=10).astype(np.float32),
        "trans": np.array([0.1, 0.2, 4.0], np.float32),
        **more,
    }


def metadata(joints=JOINTS, edges=EDGES, **more):
    return {"joint_names": list(joints), "joint_edges": [tuple(e) for e in edges], **more}


def split_of(i):
    return ("train", "train", "val", "test")[i % 4]


def key_of(i, counter=0):
    return f"{split_of(i)}/{image_path(i)}_{counter:02d}.msgpack"


def write_container(path, entries, shard_size=20_000):
    """Write a container with BareCat, in memory where that exists: it waits for many fsyncs."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        with barecat.Barecat(
            f"{folder}/{path.name}", readonly=False, shard_size_limit=shard_size
        ) as bc:
            for key, value in entries:
                bc[key] = value
        for file in Path(folder).iterdir():
            shutil.move(file, path.parent)


def write_legacy(
    folder, count=12, fields=fields_3d, meta=None, with_images=True, name="toy.barecat"
):
    """Write ``toy.barecat`` and ``images.barecat``; returns the path of the former."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries = [("metadata.msgpack", msgpack_numpy.packb(meta or metadata()))]
    entries += [(key_of(i), msgpack_numpy.packb(fields(i))) for i in range(count)]
    write_container(folder / name, entries)
    if with_images:
        write_container(
            folder / "images.barecat", [(image_path(i), picture(i)) for i in range(count)]
        )
    return folder / name


def picture(i):
    return encode_jpeg(dots(project(world(i))), 97, subsampling="444")


def rewrite_as_old(path, checksum="crc32c"):
    """Turn a container into what BareCat 0.2 (or, with ``crc32``, an older one) left on disk."""
    old = path.with_name(path.name + "-sqlite-index")
    with sqlite3.connect(path) as new:
        rows = new.execute("SELECT path, shard, offset, size, crc32c FROM files").fetchall()
    with sqlite3.connect(old) as database:
        database.execute(
            "CREATE TABLE files (path TEXT PRIMARY KEY, parent TEXT, shard INTEGER, "
            f"offset INTEGER, size INTEGER, {checksum} INTEGER NULL)"
        )
        for key, shard, offset, size, crc in rows:
            if checksum == "crc32":
                with Path(f"{path}-shard-{shard:05d}").open("rb") as file:
                    file.seek(offset)
                    crc = zlib.crc32(file.read(size))
            parent = key.rpartition("/")[0]
            row = (key, parent, shard, offset, size, crc)
            database.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", row)
    new.close()
    database.close()
    path.unlink()
