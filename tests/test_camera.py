import numpy as np

from posepile_torch.camera import Camera, Lens


def rotation_from_quaternion(wxyz):
    w, x, y, z = np.asarray(wxyz) / np.linalg.norm(wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


# Human3.6M, subject 1: focal lengths, principal point | k1 k2 k3, stored tangential pair
# | image height | camera-to-world quaternion wxyz | position | pixel of GOLDEN_POINT.
H36M = """
1145.04944 1143.78113 512.541504 515.451477
-0.207098916 0.247775182 -0.003075150 -0.000975699 -0.001424472
1002 0.1407056451 -0.1500701755 -0.7552407980 0.6223280430
1841.107 4955.285 1563.445 322.054 310.309

1149.67566 1147.59167 508.848633 508.064911
-0.194213629 0.240408540 0.006819976 -0.001619027 -0.002740894
1000 0.6157187819 -0.7648363113 -0.1483382583 0.1179474071
1761.279 -5078.007 1606.265 652.397 284.946

1149.14075 1148.79895 519.815857 501.402649
-0.208338186 0.255488008 -0.002460497 0.001484387 -0.000759999
1000 0.1465147287 -0.1464785188 0.7653023601 -0.6094175577
-1846.778 5215.046 1491.972 534.618 249.153

1145.51135 1144.77393 514.968201 501.882019
-0.198384091 0.218323674 -0.008947807 -0.000587206 -0.001813362
1002 0.5834008455 -0.7853162289 0.1454882324 -0.1474959403
-1794.790 -3722.699 1574.893 721.673 213.889
"""
H36M = [np.array(block.split(), float) for block in H36M.strip().split("\n\n")]
GOLDEN_POINT = [500, -300, 1500]


def h36m_camera(row):
    fx, fy, cx, cy = row[:4]
    return Camera(
        R=rotation_from_quaternion(row[10:14]).T,
        t=row[14:17],
        K=[[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
        size=(1000, row[9]),
        lens=Lens.h36m_toolbox(row[4:7], row[7:9]),
    )


def test_h36m_cameras_give_the_known_pixels():
    for row in H36M:
        np.testing.assert_allclose(h36m_camera(row).project(GOLDEN_POINT), row[17:], atol=6e-4)
    np.testing.assert_allclose(
        h36m_camera(H36M[0]).to_camera(GOLDEN_POINT), (-885.65, -954.73, 5265.43), atol=6e-3
    )
