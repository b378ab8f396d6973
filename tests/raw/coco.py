"""Fabricates a tiny raw copy of COCO keypoints and COCO-WholeBody: JPEG and JSON."""

import json
from pathlib import Path

import cv2
import numpy as np
from raw import painting

from posepile_torch.images import encode_jpeg
from posepile_torch.masks import Mask

# A figure that faces the camera, in pixels; its own left is on the right. Face, hands and feet are
# huge, so that the marks of neighbours do not touch.
BODY = {
    "nose": (150, 112), "left_eye": (176, 118), "right_eye": (124, 118), "left_ear": (202, 112),
    "right_ear": (98, 112), "left_shoulder": (204, 140), "right_shoulder": (96, 140),
    "left_elbow": (236, 184), "right_elbow": (64, 184), "left_wrist": (246, 222),
    "right_wrist": (54, 222), "left_hip": (182, 240), "right_hip": (118, 240),
    "left_knee": (187, 300), "right_knee": (113, 300), "left_ankle": (190, 346),
    "right_ankle": (110, 346),
}  # fmt: skip
FOOT = np.array([(208, 364), (226, 356), (190, 364), (92, 364), (74, 356), (110, 364)])
FACE = np.array([(92 + 13 * (i % 10), 10 + 13 * (i // 10)) for i in range(68)])
LEFT_HAND = np.array([(242 + 13 * (i % 5), 240 + 13 * (i // 5)) for i in range(21)])
RIGHT_HAND = LEFT_HAND * (-1, 1) + (300, 0)
POINTS = np.concatenate([list(BODY.values()), FOOT, FACE, LEFT_HAND, RIGHT_HAND]).astype(float)
PARTS = {"foot": 6, "face": 68, "lefthand": 21, "righthand": 21}
BONES = (
    "nose-left_shoulder nose-right_shoulder left_shoulder-left_elbow left_elbow-left_wrist "
    "right_shoulder-right_elbow right_elbow-right_wrist left_shoulder-left_hip "
    "right_shoulder-right_hip left_hip-left_knee left_knee-left_ankle right_hip-right_knee "
    "right_knee-right_ankle"
)
SIZE = (640, 480)


def write_raw(root, *, year=2017):
    """Write five images for training and two for validation, with a mark on every joint.

    Among them are a pair that overlaps, a crowd with uncompressed run lengths, a person outlined
    by two polygons and one by compressed run lengths, people that are tiny, occluded, labelled in
    part or not at all, and an image without people.
    """
    root = Path(root)
    (root / "annotations").mkdir(parents=True)
    train = {
        9: [person(101, (20.25, 40.5))],
        # Their order in the file is not that of their ids.
        731: [person(204, (300, 60), hidden=("left_wrist", "left_elbow"), invalid=("face",))],
        25: [person(103, (12, 30)), person(102, (170, 71.75), missing=("right_hip", "left_knee"))],
        30: [person(105, (60, 50), compressed=True), tiny(106), nobody(107), crowd(900108)],
        64: [],
    }
    val = {
        139: [person(301, (230.5, 44.25), invalid=("lefthand", "foot"), hand_confidence=0.25)],
        785: [person(302, (40, 60), missing=tuple(list(BODY)[5:]))],
    }
    for split, content in (("train", train), ("val", val)):
        _write_split(root, split, year, content)
    return root


def marks(image, skeleton, near):
    """Find the marks of the joints near ``near``, ``[P, J, 2]``."""
    del skeleton  # the joints of COCO are the first ones of COCO-WholeBody
    return painting.find(image, near)


def person(
    number, corner, *, missing=(), hidden=(), invalid=(), hand_confidence=1, compressed=False
):
    """One annotated figure, with the fields of both datasets.

    Args:
        number: Id of the annotation.
        corner: Where the figure's origin lies in the image.
        missing: Joints of the body that are not labelled.
        hidden: Joints of the body that are labelled as occluded.
        invalid: Parts that could not be labelled.
        hand_confidence: Third number of the joints of both hands.
        compressed: Outline as compressed run lengths instead of polygons.
    """
    points = POINTS + corner
    body = []
    for name, (x, y) in zip(BODY, points, strict=False):
        v = 0 if name in missing else 1 if name in hidden else 2
        body += [x, y, v] if v else [0, 0, 0]
    is_face = (np.arange(len(points)) >= 23) & (np.arange(len(points)) < 91)
    hulls = [cv2.convexHull(np.float32(part)) for part in (points[~is_face], points[is_face])]
    # Polygons and boxes start at the corner of the first pixel, joints at its middle.
    polygons = [hull.reshape(-1, 2).astype(float) + 0.5 for hull in hulls]
    low = np.min([polygon.min(axis=0) for polygon in polygons], axis=0)
    high = np.max([polygon.max(axis=0) for polygon in polygons], axis=0)
    segmentation = [polygon.ravel().tolist() for polygon in polygons]
    if compressed:
        segmentation = Mask.from_coco(segmentation, SIZE).to_coco()
    entry = {
        "id": number, "category_id": 1, "iscrowd": 0, "area": 30000.0, "keypoints": body,
        "num_keypoints": sum(v > 0 for v in body[2::3]), "segmentation": segmentation,
        "bbox": [*low.tolist(), *(high - low).tolist()],
    }  # fmt: skip
    first = 17
    for part, count in PARTS.items():
        v = 2 if part == "foot" else 1.0 if part == "face" else hand_confidence
        table = np.column_stack([points[first : first + count], np.full(count, v)])
        table *= part not in invalid
        entry |= {f"{part}_kpts": table.ravel().tolist(), f"{part}_valid": part not in invalid}
        first += count
    return entry


def tiny(number):
    """A labelled person of a few pixels."""
    entry = person(number, (0, 0))
    for name in ("keypoints", *(f"{part}_kpts" for part in PARTS)):
        table = np.array(entry[name]).reshape(-1, 3)
        table[:, :2] = table[:, :2] / 60 + (600, 20)
        entry[name] = table.ravel().tolist()
    polygon = [600.5, 20.5, 605.5, 20.5, 605.5, 26.5, 600.5, 26.5]
    return entry | {"segmentation": [polygon], "bbox": [600.5, 20.5, 5.0, 6.0]}


def nobody(number):
    """An outlined person without joints."""
    entry = person(number, (0, 0), missing=tuple(BODY), invalid=tuple(PARTS))
    polygon = [560, 300, 620, 300, 620, 420, 560, 420]
    return entry | {"segmentation": [polygon], "bbox": [560, 300, 60, 120]}


def crowd(number):
    """A group, as run lengths that are not compressed."""
    inside = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    inside[440:470, 400:600] = 1
    flat = inside.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {
        "id": number, "category_id": 1, "iscrowd": 1, "area": 6000, "num_keypoints": 0,
        "keypoints": [0] * 51, "bbox": [400, 440, 200, 30],
        "segmentation": {"size": [SIZE[1], SIZE[0]], "counts": counts},
    }  # fmt: skip


def _write_split(root, split, year, content):
    folder = root / f"{split}{year}"
    folder.mkdir()
    prefix = f"COCO_{split}2014_" if year == 2014 else ""
    images = []
    for number, people in content.items():
        name = f"{prefix}{number:012d}.jpg"
        (folder / name).write_bytes(encode_jpeg(_picture(people), 95))
        images.append(
            {"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1], "license": 4}
        )
    annotations = [
        entry | {"image_id": number} for number, people in content.items() for entry in people
    ]
    document = {
        "info": {"year": year},
        "licenses": [{"id": 4, "name": "Attribution License"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(BODY), "skeleton": []}],
    }
    whole = root / "annotations" / f"coco_wholebody_{split}_v1.0.json"
    whole.write_text(json.dumps(document))
    document["annotations"] = [
        {key: value for key, value in entry.items() if key.partition("_")[0] not in PARTS}
        for entry in annotations
    ]
    plain = root / "annotations" / f"person_keypoints_{split}{year}.json"
    plain.write_text(json.dumps(document))


def _picture(people):
    """A meadow with figures of thick lines; marks where the labels say."""
    image = np.full((SIZE[1], SIZE[0], 3), (120, 150, 110), np.uint8)
    image[: SIZE[1] // 3] = (150, 175, 200)
    image[::30] += 10
    labels = []
    for entry in people:
        if entry["iscrowd"]:
            continue
        fields = ("keypoints", *(f"{part}_kpts" for part in PARTS))
        table = np.concatenate([np.array(entry[name]).reshape(-1, 3) for name in fields])
        points = np.where(table[:, 2:] > 0, table[:, :2], np.nan)
        known = points[np.isfinite(points).all(axis=1)]
        if not len(known) or np.ptp(known, axis=0).max() < 20:
            continue
        names = dict(zip(BODY, points[:17], strict=True))
        for bone in BONES.split():
            ends = np.array([names[name] for name in bone.split("-")])
            if np.isfinite(ends).all():
                first, second = ends.round().astype(int).tolist()
                cv2.line(image, first, second, (190, 170, 160), 13, cv2.LINE_AA)
        labels.append(points)
    return painting.paint(image, np.array(labels)) if labels else image
