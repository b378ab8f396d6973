"""How long COCO keypoint AP takes, beside pycocotools on the same detections.

Run ``python perf/coco_ap.py`` (pycocotools must be installed). Both read the same lists of dicts
from memory; files and parsing of JSON are not timed. The candidates take turns, times are process
CPU time, and the ratio is the median over paired rounds. pycocotools has one thread, so torch gets
one, too: idle threads of torch wait by spinning, which would be counted. The results are
compared.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posepile_torch.metrics.coco_ap import (
    COCO_RULES,
    KeypointDetections,
    KeypointPersons,
    coco_keypoint_ap,
)

Rows = list[dict[str, Any]]


def make_data_set(n_images: int, seed: int = 0) -> tuple[Rows, Rows]:
    """Make annotations and results with the counts of a detector on COCO val2017.

    Half of the images show people, two on average, and every image has 5 detections on average.
    """
    random = np.random.default_rng(seed)
    sigmas = np.array(COCO_RULES.sigmas)[:, None]
    annotations: Rows = []
    results: Rows = []
    for image in range(n_images):
        people = random.poisson(4) if image % 2 else 0
        for _ in range(people):
            size = 10 ** random.uniform(1.3, 2.5, 2)
            points = random.uniform(0, 300, 2) + random.uniform(0, 1, (17, 2)) * size
            labels = random.choice([0, 1, 2], 17, p=[0.4, 0.1, 0.5])
            area = float(size.prod() / 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "keypoints": np.c_[points, labels].ravel().tolist(),
                    "num_keypoints": int((labels > 0).sum()),
                    "area": area,
                    "bbox": [0.0, 0.0, *size.tolist()],
                    "iscrowd": int(random.random() < 0.02),
                }
            )
            noise = sigmas * np.sqrt(area) * random.choice([0.5, 1, 2])
            for _ in range(random.poisson(1.5)):
                results.append(
                    _result(image, points + random.normal(size=(17, 2)) * noise, random)
                )
        for _ in range(random.poisson(3)):
            results.append(_result(image, random.uniform(0, 600, (17, 2)), random))
    return annotations, results


def _result(image: int, points: np.ndarray, random: np.random.Generator) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": 1,
        "keypoints": np.c_[points, np.ones(17)].ravel().tolist(),
        "score": float(random.random()),
    }


def ours(annotations: Rows, results: Rows) -> list[float]:
    """Evaluate with this library, from the same dicts."""
    persons = KeypointPersons.from_coco(annotations)
    detections = KeypointDetections.from_coco(results)
    return list(coco_keypoint_ap(persons, detections).stats.values())


def reference(annotations: Rows, results: Rows) -> list[float]:
    """Evaluate with pycocotools."""
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in sorted({r["image_id"] for r in annotations + results})],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
        "info": {},
    }
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(results), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)


def timed(candidate: Any, annotations: Rows, results: Rows) -> tuple[float, list[float]]:
    """Return CPU seconds and the ten stats."""
    rows = [[dict(row) for row in table] for table in (annotations, results)]
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.process_time()
        stats = candidate(*rows)
        return time.process_time() - start, stats


def main() -> None:
    """Print both times, their paired ratio, and how far the results are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = make_data_set(options.images)
    timed(ours, *make_data_set(50))
    timed(reference, *make_data_set(50))
    pairs, apart = [], 0.0
    for number in range(options.rounds):
        order = (ours, reference) if number % 2 else (reference, ours)
        found = {candidate: timed(candidate, *data) for candidate in order}
        pairs.append((found[reference][0], found[ours][0]))
        apart = max(apart, float(np.abs(np.subtract(found[ours][1], found[reference][1])).max()))
    print(f"{options.images} images, {len(data[0])} persons, {len(data[1])} detections")
    print(f"pycocotools     {statistics.median(a for a, _ in pairs):8.2f} s")
    print(f"posepile_torch  {statistics.median(b for _, b in pairs):8.2f} s")
    print(f"paired ratio    {statistics.median(a / b for a, b in pairs):8.1f} x")
    print(f"largest difference of the ten stats: {apart:.1e}")


if __name__ == "__main__":
    main()
