"""What mannequins do: smooth, seeded motions as targets for their bones.

Angles are radians, times seconds, lengths millimetres, y is up. A heading of 0 faces +z; a
positive one turns to the person's left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.mannequin.body import Proportions, Targets

Floats = NDArray[np.floating[Any]]
OverTime = Callable[[Floats], Floats]

SEAT_MM = 450.0
"""Height of the stools that sitting people use."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a person acts.

    Attributes:
        spot: ``(x, z)`` on the floor around which the person stands or sits.
        heading: Direction the person faces at first.
        orbit_mm: Radius of the circle about the origin on which the person walks.
        azimuth: Where on that circle the walk begins.
        turning: Angle walked along the circle in a second, positive from +z towards +x; the same
            for all people of a take, so that nobody runs into anybody.
    """

    spot: tuple[float, float]
    heading: float
    orbit_mm: float
    azimuth: float
    turning: float


@dataclass(frozen=True, eq=False, kw_only=True)
class _Course:
    """A motion before it is put on a body; ``[T]`` arrays unless stated."""

    ground: OverTime
    heading: OverTime
    step_s: float = 0.6
    sink_mm: Floats | float = 0.0
    back_mm: Floats | float = 0.0
    pelvis_yaw: Floats | float = 0.0
    pelvis_pitch: Floats | float = 0.0
    chest_yaw: Floats | float = 0.0
    chest_pitch: Floats | float = 0.04
    chest_roll: Floats | float = 0.0
    head_yaw: Floats | float = 0.0
    head_pitch: Floats | float = 0.0
    wrists: dict[int, Floats] = field(default_factory=dict)
    poles: dict[int, Floats] = field(default_factory=dict)


def act(
    activity: str,
    body: Proportions,
    place: Place,
    times_s: Floats,
    rng: np.random.Generator,
) -> Targets:
    """Return the targets of ``body`` doing ``activity`` at the given times."""
    course = _ACTIVITIES[activity](body, place, times_s, rng)
    return _on_body(body, course, times_s, rng)


def _walking(body: Proportions, place: Place, t: Floats, rng: np.random.Generator) -> _Course:
    leg = body.thigh_mm + body.shank_mm
    speed = abs(place.turning) * place.orbit_mm  # millimetres per second: a stroll
    step_s = float(rng.uniform(0.55, 0.68) * leg / speed)

    def azimuth(s: Floats) -> Floats:
        return place.azimuth + place.turning * s

    def ground(s: Floats) -> Floats:
        return place.orbit_mm * np.stack([np.sin(azimuth(s)), np.cos(azimuth(s))], axis=-1)

    gait = np.pi * t / step_s
    lead = -np.cos(gait)  # left foot ahead: +1
    reach = 0.5 * speed * step_s / leg
    swing = rng.uniform(0.35, 0.6)
    arms = {}
    for side, ahead in enumerate((-lead, lead)):
        angle = swing * ahead + 0.1
        sideways = np.full_like(t, (1 - 2 * side) * (0.1 + 0.14 * (body.girth - 0.8)))
        arms[side] = np.stack([sideways, -0.93 * np.cos(angle), 0.93 * np.sin(angle)], axis=-1)
    return _Course(
        ground=ground,
        heading=lambda s: azimuth(s) + np.copysign(np.pi / 2, place.turning),
        step_s=step_s,
        sink_mm=leg * (1 - np.sqrt(0.985**2 - reach**2)) + 0.008 * leg * np.cos(2 * gait),
        pelvis_yaw=-0.1 * lead,
        chest_yaw=0.12 * lead,
        chest_pitch=np.full_like(t, rng.uniform(0.02, 0.12)),
        chest_roll=0.03 * np.sin(gait),
        head_yaw=_wandering(rng, t, -0.35, 0.35, 1.5),
        wrists=arms,
    )


def _waving(body: Proportions, place: Place, t: Floats, rng: np.random.Generator) -> _Course:
    del body
    side = int(rng.integers(2))
    sign = 1 - 2 * side
    beat = 2 * np.pi * rng.uniform(1.0, 1.6) * t + rng.uniform(0, 2 * np.pi)
    height = _wandering(rng, t, 0.4, 0.62, 1.2)
    wave = sign * (0.42 + 0.24 * np.sin(beat))
    return _Course(
        ground=_staying(place.spot),
        heading=_facing(place.heading),
        wrists={side: np.stack([wave, height, np.full_like(t, 0.28)], axis=-1)},
        poles={side: np.broadcast_to([sign * 1.0, -0.7, -0.1], (len(t), 3))},
        chest_roll=-sign * 0.05 + 0.03 * np.sin(beat),
        chest_yaw=_wandering(rng, t, -0.25, 0.25, 1.4),
        head_yaw=_wandering(rng, t, -0.5, 0.5, 1.1),
        head_pitch=_wandering(rng, t, -0.15, 0.15, 1.3),
    )


def _sitting(body: Proportions, place: Place, t: Floats, rng: np.random.Generator) -> _Course:
    begin = rng.uniform(t[0] - 1.2, t[0] + 0.5 * (t[-1] - t[0]))
    seated = _eased((t - begin) / rng.uniform(1.0, 1.5))
    ahead = 0.85 * body.thigh_mm
    forward = np.array([np.sin(place.heading), np.cos(place.heading)])
    feet = np.asarray(place.spot) + ahead * forward
    flesh = 0.085 * body.height_mm
    lap = {}
    for side, sign in enumerate((1, -1)):
        on_knee = np.stack(
            [
                sign * _wandering(rng, t, -0.25, 0.15, 1.1),
                _wandering(rng, t, -0.72, -0.45, 1.3),
                _wandering(rng, t, 0.42, 0.62, 1.2),
            ],
            axis=-1,
        )
        lap[side] = _blended(_hanging(body, side, t), on_knee, seated)
    return _Course(
        ground=_staying((float(feet[0]), float(feet[1]))),
        heading=_facing(place.heading),
        sink_mm=seated * (body.standing_pelvis_mm - SEAT_MM - flesh),
        back_mm=seated * ahead,
        pelvis_pitch=-0.08 * seated + 0.35 * np.sin(np.pi * seated),
        chest_pitch=0.04
        + 0.6 * np.sin(np.pi * seated)
        + seated * _wandering(rng, t, -0.1, 0.3, 2),
        chest_yaw=seated * _wandering(rng, t, -0.3, 0.3, 1.6),
        head_yaw=_wandering(rng, t, -0.6, 0.6, 1.2),
        head_pitch=_wandering(rng, t, -0.15, 0.25, 1.4),
        wrists=lap,
    )


def _reaching(body: Proportions, place: Place, t: Floats, rng: np.random.Generator) -> _Course:
    goals, wanted = {}, []
    for side, sign in enumerate((1, -1)):
        height = _wandering(rng, t, -0.75, 0.9, 0.9)
        out, ahead = _wandering(rng, t, -0.25, 0.75, 0.8), _wandering(rng, t, 0.3, 0.8, 0.7)
        goal = np.stack([sign * out, height, ahead], axis=-1)
        goals[side] = goal * (0.93 / np.maximum(0.93, np.linalg.norm(goal, axis=-1)))[:, None]
        wanted.append(goals[side])
    low = np.clip(-0.2 - np.minimum(wanted[0][:, 1], wanted[1][:, 1]), 0, 1)
    sideways = wanted[0][:, 0] + wanted[1][:, 0]
    return _Course(
        ground=_staying(place.spot),
        heading=_facing(place.heading),
        sink_mm=0.35 * low * body.thigh_mm,
        back_mm=0.25 * low * body.thigh_mm,
        pelvis_pitch=0.5 * low,
        chest_pitch=0.04 + 1.1 * low,
        chest_yaw=0.35 * sideways,
        chest_roll=-0.08 * sideways,
        head_yaw=0.5 * sideways,
        head_pitch=0.6 * low - 0.25 * np.clip(wanted[0][:, 1], 0, 1),
        wrists=goals,
    )


def _turning(body: Proportions, place: Place, t: Floats, rng: np.random.Generator) -> _Course:
    del body
    rate = rng.choice([-1.0, 1.0]) * rng.uniform(0.9, 1.7)
    sway, phase = rng.uniform(0.15, 0.35), rng.uniform(0, 2 * np.pi)

    def heading(s: Floats) -> Floats:
        return np.asarray(place.heading + rate * s + sway * np.sin(1.9 * s + phase))

    arms = {
        side: np.stack(
            [
                sign * _wandering(rng, t, 0.15, 0.75, 1.0),
                _wandering(rng, t, -0.85, -0.2, 1.2),
                _wandering(rng, t, -0.1, 0.45, 0.9),
            ],
            axis=-1,
        )
        for side, sign in enumerate((1, -1))
    }
    return _Course(
        ground=_staying(place.spot),
        heading=heading,
        step_s=0.42,
        sink_mm=25.0,
        chest_yaw=np.full_like(t, 0.12 * rate),
        head_yaw=np.full_like(t, 0.3 * rate),
        wrists=arms,
    )


def _exercising(body: Proportions, place: Place, t: Floats, rng: np.random.Generator) -> _Course:
    beat = 2 * np.pi * t / rng.uniform(1.8, 2.8) + rng.uniform(0, 2 * np.pi)
    bent = 0.5 - 0.5 * np.cos(beat)
    depth = rng.uniform(0.6, 1.0)
    up = [(0.1, 0.1, 0.93), (0.25, 0.92, 0.1), (0.93, 0.15, 0.1)][int(rng.integers(3))]
    arms = {}
    for side, sign in enumerate((1, -1)):
        raised = np.broadcast_to(np.array(up) * (sign, 1, 1), (len(t), 3))
        arms[side] = _blended(_hanging(body, side, t), raised, bent)
    return _Course(
        ground=_staying(place.spot),
        heading=_facing(place.heading),
        sink_mm=bent * depth * 0.85 * body.thigh_mm,
        back_mm=bent * depth * 0.35 * body.thigh_mm,
        pelvis_pitch=0.45 * depth * bent,
        chest_pitch=0.04 + 0.55 * depth * bent,
        head_yaw=_wandering(rng, t, -0.3, 0.3, 1.5),
        wrists=arms,
    )


_ACTIVITIES: dict[str, Callable[[Proportions, Place, Floats, np.random.Generator], _Course]] = {
    "walking": _walking,
    "waving": _waving,
    "sitting": _sitting,
    "reaching": _reaching,
    "turning": _turning,
    "exercising": _exercising,
}

ACTIVITIES = tuple(_ACTIVITIES)
"""Names of everything a mannequin can do."""


def _staying(spot: tuple[float, float]) -> OverTime:
    return lambda s: np.broadcast_to(np.array(spot), (*np.shape(s), 2))


def _facing(heading: float) -> OverTime:
    return lambda s: np.full_like(s, heading)


def _hanging(body: Proportions, side: int, t: Floats) -> Floats:
    """Arms at rest, clear of the hips."""
    out = (1 - 2 * side) * (0.11 + 0.16 * (body.girth - 0.8))
    return np.broadcast_to([out, -0.95, 0.1], (len(t), 3))


def _eased(progress: Floats) -> Floats:
    """Go from 0 to 1 without a jerk at either end."""
    u = np.clip(progress, 0, 1)
    return np.asarray(u * u * (3 - 2 * u))


def _blended(first: Floats, second: Floats, share: Floats) -> Floats:
    return first + (second - first) * share[:, None]


def _wandering(
    rng: np.random.Generator, t: Floats, low: float, high: float, period_s: float
) -> Floats:
    """Move smoothly between random values in ``low..high``, one every ``period_s`` seconds."""
    first, last = np.floor(t[0] / period_s), np.floor(t[-1] / period_s)
    knots = rng.uniform(low, high, int(last - first) + 2)
    position = t / period_s - first
    before = np.floor(position).astype(np.int64)
    share = _eased(position - before)
    return np.asarray(knots[before] * (1 - share) + knots[before + 1] * share)


def _turn(yaw: Floats | float, pitch: Floats | float = 0.0, roll: Floats | float = 0.0) -> Floats:
    """Rotate by roll, then pitch (forwards), then yaw (to the left): ``[..., 3, 3]``."""
    yaw, pitch, roll = np.broadcast_arrays(yaw, pitch, roll)
    cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cz, sz = np.cos(roll), np.sin(roll)
    rows = [
        [cy * cz + sy * sx * sz, -cy * sz + sy * sx * cz, sy * cx],
        [cx * sz, cx * cz, -sx],
        [-sy * cz + cy * sx * sz, sy * sz + cy * sx * cz, cy * cx],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _feet(body: Proportions, course: _Course, t: Floats) -> tuple[Floats, Floats]:
    """Plant the feet along the course: they swing in turn and never slide.

    The left foot swings during the even steps, the right one during the odd ones. Between two
    swings a foot stays where the body passes over it.
    """
    half_width = 0.058 * body.hips * body.height_mm
    ankles, turns = [], []
    for side, sign in enumerate((1, -1)):
        cycle = (t / course.step_s - side) / 2
        count = np.floor(cycle)
        swung = _eased((cycle - count) * 2 / 0.9)
        moments = [(2 * (count + k) - 0.5 + side) * course.step_s for k in (0, 1)]
        headings = [course.heading(moment) for moment in moments]
        spots = [
            course.ground(moment)
            + sign * half_width * np.stack([np.cos(heading), -np.sin(heading)], axis=-1)
            for moment, heading in zip(moments, headings, strict=True)
        ]
        spot = _blended(spots[0], spots[1], swung)
        stride = np.linalg.norm(spots[1] - spots[0], axis=-1)
        stride = stride + 400 * np.abs(headings[1] - headings[0])
        airborne = np.sin(np.pi * swung)
        lift = airborne * np.minimum(0.16 * stride, 0.06 * body.height_mm)
        pitch = np.minimum(stride / 700, 1) * np.sin(2 * np.pi * swung) * 0.45
        height = body.ankle_mm + lift
        ankles.append(np.stack([spot[:, 0], height, spot[:, 1]], axis=-1))
        yaw = headings[0] + (headings[1] - headings[0]) * swung + sign * 0.12
        turns.append(_turn(yaw, pitch))
    return np.stack(ankles, axis=1), np.stack(turns, axis=1)


def _on_body(body: Proportions, course: _Course, t: Floats, rng: np.random.Generator) -> Targets:
    """Turn a course into targets for the bones of ``body``."""
    ankles, foot_turn = _feet(body, course, t)
    heading = course.heading(t)
    forward = np.stack([np.sin(heading), np.zeros_like(t), np.cos(heading)], axis=-1)
    # Nobody stands stock still.
    left = np.stack([np.cos(heading), np.zeros_like(t), -np.sin(heading)], axis=-1)
    shift = _wandering(rng, t, -12, 12, 1.7)[:, None] * left
    ground = course.ground(t)
    height = 0.985 * body.standing_pelvis_mm - course.sink_mm
    pelvis = np.stack([ground[:, 0], np.broadcast_to(height, t.shape), ground[:, 1]], axis=-1)
    pelvis = pelvis - np.broadcast_to(course.back_mm, t.shape)[:, None] * forward + shift
    breath = 0.015 * np.sin(2 * np.pi * 0.27 * t + rng.uniform(0, 2 * np.pi))
    pitch = course.chest_pitch + breath
    wrists, poles = [], []
    for side, sign in enumerate((1, -1)):
        rest = _hanging(body, side, t) + 0.02 * np.stack(
            [_wandering(rng, t, -1, 1, 1.2) for _ in range(3)], axis=-1
        )
        wrists.append(course.wrists.get(side, rest))
        poles.append(
            course.poles.get(side, np.broadcast_to([sign * 0.5, -0.25, -1.0], (len(t), 3)))
        )
    return Targets(
        pelvis=pelvis,
        pelvis_turn=_turn(heading + course.pelvis_yaw, course.pelvis_pitch),
        chest_turn=_turn(heading + course.chest_yaw, pitch, course.chest_roll),
        head_turn=_turn(heading + course.head_yaw, 0.4 * pitch + course.head_pitch),
        ankles=ankles,
        foot_turn=foot_turn,
        wrists=np.stack(wrists, axis=1),
        elbow_poles=np.stack(poles, axis=1),
    )
