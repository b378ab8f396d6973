"""Fabricates a tiny copy of Human3.6M: CDF poses, metadata.xml, MP4 videos, MATLAB v7.3 masks.

``S1/TakingPhoto`` (train), ``S9/Greeting`` (test; its motion capture is displaced against the
images as in the real files), ``S9/Greeting 1`` (without masks) and ``S11/Directions``; and
``S1/_ALL``, which is no recording. Images are drawn where people really are.
"""

from pathlib import Path

import cv2
import numpy as np
from raw.toy_people import joints_of, moving, picture
from rawfiles.rawfile_toys import write_mat_v73

from posepile_torch import skeletons

CAMERAS = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
RECORDINGS = (
    ("S1", "TakingPhoto"),
    ("S9", "Greeting"),
    ("S9", "Greeting 1"),
    ("S11", "Directions"),
)
DISPLACED = ("S9", "Greeting")
ROWS32 = skeletons.get("h36m_32").joints

# Calibration of the dataset as published with VideoPose3D: f, c, k1 k2 k3, p2 p1.
INNER = np.array([
    [1145.04944, 1143.78113, 512.541504, 515.451477,
     -0.207098916, 0.247775182, -0.003075150, -0.000975699, -0.001424472],
    [1149.67566, 1147.59167, 508.848633, 508.064911,
     -0.194213629, 0.240408540, 0.006819976, -0.001619027, -0.002740894],
    [1149.14075, 1148.79895, 519.815857, 501.402649,
     -0.208338186, 0.255488008, -0.002460497, 0.001484387, -0.000759999],
    [1145.51135, 1144.77393, 514.968201, 501.882019,
     -0.198384091, 0.218323674, -0.008947807, -0.000587206, -0.001813362],
])  # fmt: skip
# Of S1: camera-to-world quaternion w x y z, centre in mm.
OUTER = np.array([
    [0.1407056451, -0.1500701755, -0.7552407980, 0.6223280430, 1841.107, 4955.285, 1563.445],
    [0.6157187819, -0.7648363113, -0.1483382583, 0.1179474071, 1761.279, -5078.007, 1606.265],
    [0.1465147287, -0.1464785188, 0.7653023601, -0.6094175577, -1846.778, 5215.046, 1491.972],
    [0.5834008455, -0.7853162289, 0.1454882324, -0.1474959403, -1794.790, -3722.699, 1574.893],
])  # fmt: skip


def write_raw(root: Path, frames: int = 6, recordings=RECORDINGS) -> Path:
    """Write recordings with four cameras each; only every 5th frame of a video shows new poses."""
    root = Path(root)
    _write_metadata(root / "Release-v1.2" / "metadata.xml")
    for number, (subject, recording) in enumerate(recordings):
        upright = moving(100 + number, frames)
        people = np.stack([upright[..., 0], -upright[..., 2], upright[..., 1]], axis=-1)  # z up
        captured = people + ([200.0, 0, 0] if (subject, recording) == DISPLACED else 0)
        folder = root / subject
        # The clavicles of the files are the base of the neck.
        names = ["neck" if row in ("lcla", "rcla") else row for row in ROWS32]
        pose = joints_of(captured, names).reshape(1, frames, 96).astype(np.float32)
        write_cdf(folder / "MyPoseFeatures" / "D3_Positions" / f"{recording}.cdf", pose)
        for name in CAMERAS:
            seen = [project(subject, name, joints) for joints in people]
            _write_video(folder / "Videos" / f"{recording}.{name}.mp4", CAMERAS[name], seen)
            if recording != "Greeting 1":
                boxed = [project(subject, name, joints)[0] for joints in captured]
                segments = folder / "MySegmentsMat"
                _write_masks(segments / "ground_truth_bb", recording, name, boxed, _filled_box)
                silhouettes = [pixels for pixels, _ in seen]
                _write_masks(segments / "ground_truth_bs", recording, name, silhouettes, _hull)
    first, *_ = recordings
    whole = root / first[0] / "MyPoseFeatures" / "D3_Positions" / "_ALL.cdf"
    whole.write_bytes(b"all recordings once more")
    return root


def outer(subject, row):
    """Rotation world to camera and centre; the cameras of each subject lie a little elsewhere."""
    w, x, y, z = OUTER[row, :4]
    to_world = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    return to_world.T, OUTER[row, 4:] + 10.0 * (int(subject[1:]) - 1)


def project(subject, name, points):
    """Pixels and depth by the formula of the dataset's toolbox."""
    row = list(CAMERAS).index(name)
    rotation, centre = outer(subject, row)
    cam = (points - centre) @ rotation.T
    plane = cam[..., :2] / cam[..., 2:]
    r2 = (plane**2).sum(axis=-1, keepdims=True)
    k1, k2, k3 = INNER[row, 4:7]
    q = INNER[row, 7:]
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + (plane * q).sum(axis=-1, keepdims=True)
    return INNER[row, :2] * (plane * factor + q * r2) + INNER[row, 2:4], cam[..., 2]


def _write_metadata(path):
    extrinsics = np.zeros((4, 11, 6))
    for row in range(4):
        for number in range(11):
            rotation, centre = outer(f"S{number + 1}", row)
            about_x = np.arctan2(-rotation[1, 2], rotation[2, 2])
            about_y = np.arcsin(rotation[0, 2])
            about_z = np.arctan2(-rotation[0, 1], rotation[0, 0])
            extrinsics[row, number] = [about_x, about_y, about_z, *centre]
    intrinsics = INNER.copy()
    intrinsics[:, 7:] = INNER[:, :6:-1]  # the file has p1 first
    values = np.concatenate([extrinsics.ravel(), intrinsics.ravel()])
    numbers = " ".join(f"{value:.12g}" for value in values)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<metadata>\n  <dbcameras>\n'
        f"    <index2id><item>54138969</item></index2id>\n  </dbcameras>\n  <w0>[{numbers}]</w0>\n"
        "</metadata>\n"
    )


def write_npz(root):
    """Write data_3d_h36m.npz as VideoPose3D's preparation does from the CDF files."""
    from cdflib import CDF

    positions = {}
    for path in sorted(root.glob("S*/MyPoseFeatures/D3_Positions/*.cdf")):
        subject, recording = path.parts[-4], path.stem
        if recording == "_ALL" or (subject, recording) == ("S11", "Directions"):
            continue
        canonical = recording.replace("TakingPhoto", "Photo").replace("WalkingDog", "WalkDog")
        pose = CDF(str(path)).varget("Pose").reshape(-1, 32, 3) / 1000
        positions.setdefault(subject, {})[canonical] = pose.astype(np.float32)
    np.savez_compressed(root / "data_3d_h36m.npz", positions_3d=positions)


def write_cdf(path, pose):
    """Write the variable Pose ``[1, frames, numbers]``."""
    from cdflib.cdfwrite import CDF

    path.parent.mkdir(parents=True, exist_ok=True)
    file = CDF(str(path), {"Majority": "row_major"})
    variable = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True}
    file.write_var({**variable, "Dim_Sizes": list(pose.shape[1:])}, var_data=pose)
    file.close()


def _write_video(path, size, seen):
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    image = None
    with av.open(str(path), "w") as container:
        quick = {"crf": "12", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=50, options=quick)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, (pixels, depth) in enumerate(seen):
            if number % 5 == 0:
                image = picture(size, pixels[None], depth[None])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _write_masks(folder, recording, name, pixels, draw):
    folder.mkdir(parents=True, exist_ok=True)
    width, height = CAMERAS[name]
    cells = np.empty((len(pixels), 1), object)
    for row, points in enumerate(pixels):
        image = np.zeros((height, width), np.uint8)
        draw(image, np.rint(points).astype(np.int32))
        cells[row, 0] = image.astype(bool)
    write_mat_v73(folder / f"{recording}.{name}.mat", {"Masks": cells})


def _filled_box(image, points):
    low, high = points.min(axis=0) - 20, points.max(axis=0) + 20
    image[low[1] : high[1] + 1, low[0] : high[0] + 1] = 1


def _hull(image, points):
    cv2.fillConvexPoly(image, cv2.convexHull(points), 1)
