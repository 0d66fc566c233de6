"""Which directions the poses cover, and which are missing: what a person has to be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from telemetry_bridge.calibration.poses import Pose, Turn

FACE: Final = np.cos(np.radians(25))
"""A pose lies on a face when an axis is within 25 deg of the vertical."""
TILTED: Final = np.sin(np.radians(25))
"""It is tilted between two axes when both feel at least this share of gravity: that shows the angle between them."""
TILTED_POSES: Final = 2
POSES: Final = 15
TURNED_DEG: Final = 300.0
"""How far the board has to have been turned about each axis of the gyroscope while that axis lay flat."""
FACES: Final = tuple(f"{axis} {way}" for axis in "xyz" for way in ("up", "down"))
PAIRS: Final = tuple(combinations("xyz", 2))


@dataclass(frozen=True, slots=True)
class Coverage:
    """What there is.

    Attributes:
        faces: poses with an axis up or down, by ``x up`` …
        tilted: poses tilted between two axes, by their names
        poses: how many in all.
        turned_deg: turned about x, y and z, as the gravity of the poses shows it.
    """

    faces: dict[str, int]
    tilted: dict[tuple[str, str], int]
    poses: int
    turned_deg: dict[str, float]

    def missing(self, *, poses: int = POSES, turns: bool = False) -> list[str]:
        """What is still to be done, each as a request to a person, the simplest first.

        Args:
            poses: how many there are to be.
            turns: whether the gyroscope is to be calibrated too.
        """
        wanted = [f"put the board down with {face}" for face, count in self.faces.items() if not count]
        wanted += [
            f"lean the board so that {a} and {b} are both halfway up or down ({count} of {TILTED_POSES})"
            for (a, b), count in self.tilted.items()
            if count < TILTED_POSES
        ]
        if turns:
            wanted += [
                f"turn the board about {axis} while {axis} lies flat ({degrees:.0f} of {TURNED_DEG:.0f} deg)"
                for axis, degrees in self.turned_deg.items()
                if degrees < TURNED_DEG
            ]
        if self.poses < poses and not wanted:
            wanted.append(f"put the board down in any new direction ({self.poses} of {poses} poses)")
        return wanted


def coverage(poses: Sequence[Pose], turns: Sequence[Turn] = ()) -> Coverage:
    """What poses and the usable turns between them cover."""
    up = [pose.accel / np.linalg.norm(pose.accel) for pose in poses]
    faces = dict.fromkeys(FACES, 0)
    tilted = dict.fromkeys(PAIRS, 0)
    for direction in up:
        for axis, along in zip("xyz", direction, strict=True):
            if abs(along) >= FACE:
                faces[f"{axis} {'up' if along > 0 else 'down'}"] += 1
        for a, b in PAIRS:
            if min(abs(direction["xyz".index(a)]), abs(direction["xyz".index(b)])) >= TILTED:
                tilted[a, b] += 1
    turned = np.zeros(3)
    for turn in turns:
        if not turn.flaw:
            first, last = up[turn.before : turn.before + 2]
            about = np.cross(first, last)
            sine = float(np.linalg.norm(about))
            if sine > 0.15:  # no turn at all, or half a turn: about which axis, gravity does not say
                turned += np.abs(about / sine) * np.degrees(np.arctan2(sine, first @ last))
    return Coverage(faces, tilted, len(poses), dict(zip("xyz", (float(value) for value in turned), strict=True)))
