"""Fabricated model files of the true shapes; the numbers are random, the structure is real."""

from __future__ import annotations

import pickle

import numpy as np

from posepile_torch.body.kinds import KINDS

SMPL_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]


def parents_of(name):
    if name == "smpl":
        return SMPL_PARENTS
    if name == "mano":
        return [-1, *(0 if i % 3 == 0 else i for i in range(15))]
    hands = 22 if name == "smplh" else 25
    face = [] if name == "smplh" else [15, 15, 15]
    fingers = [
        wrist if i % 3 == 0 else first + i - 1
        for first, wrist in ((hands, 20), (hands + 15, 21))
        for i in range(15)
    ]
    return [*SMPL_PARENTS[:22], *face, *fingers]


def fields(name, components=10, seed=0):
    kind, random = KINDS[name], np.random.default_rng(seed)
    V, J = kind.num_vertices, kind.num_joints
    regressor, weights = np.zeros((J, V)), np.zeros((V, J))
    for row in regressor:
        row[random.choice(V, 12, replace=False)] = random.dirichlet(np.ones(12))
    bones = random.integers(J, size=(V, 4))
    np.add.at(weights, (np.arange(V)[:, None], bones), random.dirichlet(np.ones(4), V))
    parents = np.array(parents_of(name), dtype=np.int64) % 2**32
    made = {
        "v_template": random.normal(size=(V, 3)) * 0.4,
        "shapedirs": random.normal(size=(V, 3, components)) * 0.01,
        "posedirs": random.normal(size=(V, 3, kind.pose_features)) * 0.002,
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([parents, np.arange(J)], dtype=np.uint32),
        "f": random.integers(V, size=(kind.num_faces, 3)).astype(np.uint32),
    }
    return made | {hand: random.normal(size=45) * 0.1 for _, hand in kind.hands}


def write(path, name="smpl", components=10, **changes):
    """Write a model file; a change to ``None`` leaves a field out."""
    made = {k: v for k, v in (fields(name, components) | changes).items() if v is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **made)
    else:
        path.write_bytes(pickle.dumps(made, protocol=2))
    return path
