"""COCO keypoints and COCO-WholeBody: people in everyday photographs, with 2D labels."""

from __future__ import annotations

from typing import ClassVar

from posepile_torch import skeletons
from posepile_torch.cards import (
    Access,
    Card,
    Hints,
    LengthUnit,
    Licence,
    Quirk,
    RawFilePattern,
    RawKind,
    Split,
    Task,
    Visibility,
)
from posepile_torch.skeleton import Skeleton
from posepile_torch.sources.base import Source2D

_HOME = "https://cocodataset.org"
_FORMAT = f"{_HOME}/#format-data"
_WHOLEBODY_HOME = "https://github.com/jin-s13/COCO-WholeBody"
_HALF_PIXEL = "https://github.com/facebookresearch/detectron2/pull/175#issuecomment-551202163"

_HINTS = Hints(realistic_background=True, has_mask=True, has_camera=False)

_IMAGE_STEP = "download train2017.zip and val2017.zip and unpack them into the --raw folder"
_QUIRKS = (
    Quirk(
        "keypoints are whole pixels, counted from 0 at the middle of the first one; boxes and "
        "polygons are continuous and start at its corner: the converter moves boxes by half a "
        "pixel, and masks are filled as pycocotools fills them",
        where="keypoints, bbox, segmentation",
        source=_HALF_PIXEL,
    ),
    Quirk(
        "an annotation with iscrowd=1 outlines a group and has no joints; it becomes no record, "
        "and its region is in the scene mask of everybody in the image",
        where="annotations with iscrowd",
        source=_FORMAT,
    ),
    Quirk(
        "small or barely visible people have an outline and no joint (num_keypoints=0); they are "
        "counted as skipped, and are in the scene mask",
        where="annotations with num_keypoints",
        source=_FORMAT,
    ),
)

CARD = Card(
    name="coco",
    title="COCO keypoints",
    description=(
        "Photographs of everyday scenes with outlines, boxes and 17 joints of the people in them, "
        "labelled by hand, and the reference benchmark of 2D pose in images."
    ),
    tasks=(Task.POSE_2D, Task.SEGMENTATION, Task.MULTI_PERSON),
    licence=Licence(
        "LicenseRef-COCO",
        commercial=None,
        redistribution=None,
        derivatives=None,
        evidence="Terms of use of the site: annotations are CC BY 4.0; each image keeps the "
        "Flickr licence that its entry in the JSON names, and some exclude commercial use or "
        "changes.",
        url=f"{_HOME}/#termsofuse",
    ),
    access=Access.OPEN,
    citation="lin2014coco",
    homepage=_HOME,
    paper="https://arxiv.org/abs/1405.0312",
    release="2017; --option year=2014 converts the files of 2014",
    download_steps=(
        f"open {_HOME}/#download",
        _IMAGE_STEP,
        "download annotations_trainval2017.zip and unpack it there: it brings the folder "
        "annotations",
    ),
    layout=(
        RawFilePattern(
            "annotations/person_keypoints_{split:train|val}{year:2017|2014}.json",
            RawKind.ANNOTATION,
            origin="annotations_trainval{year}.zip",
        ),
        RawFilePattern(
            "{split:train|val}{year:2017|2014}/{image}.jpg",
            RawKind.IMAGE,
            origin="{split}{year}.zip",
        ),
    ),
    splits=(
        Split("train", people=149_813, note="train2017; people with at least one joint"),
        Split("val", people=6_352, note="val2017; people with at least one joint"),
    ),
    units=LengthUnit.PIXEL,
    world_up=None,
    visibility=Visibility.ANNOTATED,
    visibility_note=(
        "v=2 is visible, v=1 labelled and occluded, v=0 not labelled: unknown position. By the "
        "authors' definition a joint is visible if it falls inside the person's outline."
    ),
    quirks=_QUIRKS,
    hints=_HINTS,
)

WHOLEBODY_CARD = Card(
    name="coco-wholebody",
    title="COCO-WholeBody",
    description=(
        "The people of COCO 2017 with 133 joints: the 17 of COCO, 6 on the feet, 68 on the face "
        "and 21 on each hand."
    ),
    tasks=(Task.POSE_2D, Task.HANDS, Task.FACE, Task.SEGMENTATION, Task.MULTI_PERSON),
    licence=Licence(
        "LicenseRef-COCO-WholeBody",
        commercial=False,
        redistribution=None,
        derivatives=None,
        evidence="README, Terms of Use: only for research and non-commercial use; it names CC BY "
        "4.0 for the annotations and links to CC BY-NC 4.0. Images as in COCO.",
        url=f"{_WHOLEBODY_HOME}#terms-of-use",
    ),
    access=Access.OPEN,
    citation="jin2020wholebody",
    homepage=_WHOLEBODY_HOME,
    paper="https://arxiv.org/abs/2007.11858",
    release="1.0",
    download_steps=(
        f"open {_HOME}/#download",
        _IMAGE_STEP,
        f"open {_WHOLEBODY_HOME}#download and put coco_wholebody_train_v1.0.json and "
        "coco_wholebody_val_v1.0.json into a folder annotations there",
    ),
    layout=(
        RawFilePattern(
            "annotations/coco_wholebody_{split:train|val}_v1.0.json", RawKind.ANNOTATION
        ),
        RawFilePattern(
            "{split:train|val}2017/{image}.jpg", RawKind.IMAGE, origin="{split}2017.zip"
        ),
    ),
    splits=(Split("train", note="train2017"), Split("val", note="val2017")),
    units=LengthUnit.PIXEL,
    world_up=None,
    visibility=Visibility.ANNOTATED,
    visibility_note=(
        "Body and feet as in COCO. Labels of face and hands do not tell visible from occluded: "
        "their visibility is unknown."
    ),
    quirks=(
        *_QUIRKS,
        Quirk(
            "the third number of face and hand joints is no visibility: it is 1, or in hands a "
            "fraction down to 0.03; it becomes the confidence of the joint",
            where="face_kpts, lefthand_kpts, righthand_kpts",
            source=f"{_WHOLEBODY_HOME}, evaluation/example_gt.json",
        ),
        Quirk(
            "parts that were too blurred or occluded to label have a flag that is false and "
            "joints at 0, 0; their joints are unknown",
            where="foot_valid, face_valid, lefthand_valid, righthand_valid",
            source=f"{_WHOLEBODY_HOME}, data_format.md",
        ),
    ),
    hints=_HINTS,
)


class Coco(Source2D):
    """COCO keypoints; see :data:`CARD`. Records are named by the ids of image and annotation."""

    card: ClassVar[Card] = CARD
    native: ClassVar[Skeleton] = skeletons.get("coco_17")


class CocoWholeBody(Source2D):
    """COCO-WholeBody; see :data:`WHOLEBODY_CARD`. Records are named as those of :class:`Coco`."""

    card: ClassVar[Card] = WHOLEBODY_CARD
    native: ClassVar[Skeleton] = skeletons.get("coco_wholebody_133")
