"""What each model of the SMPL family looks like, and what its files are called."""

from __future__ import annotations

from dataclasses import dataclass

from posepile_torch.errors import BodyModelError, UnknownNameError

#: Variants of all models but MANO.
GENDERS = ("neutral", "male", "female")
#: Variants of MANO.
SIDES = ("left", "right")


@dataclass(frozen=True, kw_only=True)
class BodyKind:
    """One model of the family.

    Attributes:
        name: As in :class:`posepile_torch.record.BodyParameters`.
        title: As people write it.
        num_vertices: V.
        num_faces: F.
        num_joints: J, of the kinematic tree.
        body_joints: How many joints, from the first, a pose without hands and face has.
        hands: First joint of each hand, 15 joints apiece; with the field of its mean pose.
        skeleton: Name of the standard skeleton of the J joints; ``None`` where there is none.
        file_names: Patterns of known file names, best first: ``{gender}`` is ``neutral``,
            ``{g}`` is ``neutral``, ``m`` or ``f``; ``{side}`` is ``left`` or ``right``.
            Letter case does not matter.
        website: Where people register and download.
    """

    name: str
    title: str
    num_vertices: int
    num_faces: int
    num_joints: int
    body_joints: int
    hands: tuple[tuple[int, str], ...] = ()
    skeleton: str | None = None
    file_names: tuple[str, ...]
    website: str

    @property
    def pose_features(self) -> int:
        """Length of the last axis of the pose blend shapes: 9 per joint that is not the root."""
        return 9 * (self.num_joints - 1)

    def describe(self, variant: str) -> str:
        """Return for example ``SMPL neutral`` or ``MANO right``."""
        return f"{self.title} {variant}"


# Counts: Loper et al. 2015 (SMPL), Romero et al. 2017 (MANO, SMPL+H), Pavlakos et al. 2019
# (SMPL-X). File names: those of the official downloads, and the names to which projects that
# train on them ask people to rename them.
#: The models by name.
KINDS: dict[str, BodyKind] = {
    kind.name: kind
    for kind in (
        BodyKind(
            name="smpl",
            title="SMPL",
            num_vertices=6890,
            num_faces=13776,
            num_joints=24,
            body_joints=24,
            skeleton="smpl_24",
            file_names=(
                "SMPL_{gender}.pkl",
                "basicmodel_{g}_lbs_10_207_0_v1.1.0.pkl",
                "basicModel_{g}_lbs_10_207_0_v1.0.0.pkl",
                "SMPL_{gender}.npz",
            ),
            website="https://smpl.is.tue.mpg.de",
        ),
        BodyKind(
            name="smplh",
            title="SMPL-H",
            num_vertices=6890,
            num_faces=13776,
            num_joints=52,
            body_joints=22,
            hands=((22, "hands_meanl"), (37, "hands_meanr")),
            skeleton="smplh_52",
            file_names=("{gender}/model.npz", "SMPLH_{gender}.pkl", "SMPLH_{gender}.npz"),
            website="https://mano.is.tue.mpg.de",
        ),
        BodyKind(
            name="smplx",
            title="SMPL-X",
            num_vertices=10475,
            num_faces=20908,
            num_joints=55,
            body_joints=22,
            hands=((25, "hands_meanl"), (40, "hands_meanr")),
            skeleton="smplx_55",
            file_names=("SMPLX_{gender}.npz", "SMPLX_{gender}.pkl"),
            website="https://smpl-x.is.tue.mpg.de",
        ),
        BodyKind(
            name="mano",
            title="MANO",
            num_vertices=778,
            num_faces=1538,
            num_joints=16,
            body_joints=16,
            hands=((1, "hands_mean"),),
            file_names=("MANO_{side}.pkl", "MANO_{side}.npz"),
            website="https://mano.is.tue.mpg.de",
        ),
    )
}


def kind_of(name: str) -> BodyKind:
    """Look up a model by its name in lower case.

    Raises:
        BodyModelError: For STAR, whose equations are others.
        UnknownNameError: If there is no such model.
    """
    if name == "star":
        raise BodyModelError(
            "STAR is not supported",
            rule="its pose term is driven by quaternions, not by rotation matrices as in SMPL",
            fix="fit SMPL to its vertices, or use the joints that the dataset provides",
        )
    if name not in KINDS:
        raise UnknownNameError.among("body model", name, KINDS)
    return KINDS[name]


def variant_of(kind: BodyKind, gender: str, side: str) -> str:
    """Return the word that tells the files of one kind apart: the gender, or MANO's side."""
    word, what, known = (
        (side, "hand side", SIDES) if kind.name == "mano" else (gender, "gender", GENDERS)
    )
    if word not in known:
        raise UnknownNameError.among(what, word, known)
    return word


def known_file_names(kind: BodyKind, variant: str) -> tuple[str, ...]:
    """Return the file names, best first, under which one variant may be stored."""
    short = {"male": "m", "female": "f"}.get(variant, variant)
    upper = variant.upper()
    return tuple(
        pattern.format(gender=variant if "/" in pattern else upper, g=short, side=upper)
        for pattern in kind.file_names
    )
