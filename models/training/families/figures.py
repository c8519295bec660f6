"""Generated figures: sticks with a head, joints and limbs, on cluttered ground, with the exact place of every
joint. They are no photographs, and no benchmark's.

A figure's limbs have lengths and angles of their own around those of a standing person. The two sides differ
in shade: the left ones are dark, the right ones light, of one colour. The ground has gradients, sticks and
discs of the same kinds of colour, some in front of the figure.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

SIDE = 64  # pixels
SCALE = 4  # drawn so much larger, and then reduced

NAMES = (
    *("head", "neck", "hip"),
    *("left elbow", "left hand", "right elbow", "right hand"),
    *("left knee", "left foot", "right knee", "right foot"),
)
SKELETON = (
    *(("head", "neck"), ("neck", "hip")),
    *(("neck", "left elbow"), ("left elbow", "left hand")),
    *(("neck", "right elbow"), ("right elbow", "right hand")),
    *(("hip", "left knee"), ("left knee", "left foot")),
    *(("hip", "right knee"), ("right knee", "right foot")),
)
# joint -> where it hangs, its limb's length in torsos, its angle from straight down in degrees, clockwise as
# seen, and how far that varies
LIMBS = {
    "head": ("neck", 0.4, 180, 15),
    "hip": ("neck", 1.0, 0, 15),
    "left elbow": ("neck", 0.6, -40, 50),
    "left hand": ("left elbow", 0.55, -40, 70),
    "right elbow": ("neck", 0.6, 40, 50),
    "right hand": ("right elbow", 0.55, 40, 70),
    "left knee": ("hip", 0.7, -20, 30),
    "left foot": ("left knee", 0.65, -10, 30),
    "right knee": ("hip", 0.7, 20, 30),
    "right foot": ("right knee", 0.65, 10, 30),
}
TORSO = (0.18, 0.26)  # of the image's side, least and most
CLUTTER = 5  # sticks and discs behind the figure at most, and a third as many in front

Points = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Figure:
    """pixels: uint8 (SIDE, SIDE, 3), RGB. points: (11, 2), x and y as fractions of the image, in the order of
    NAMES. torso: distance from neck to hip, likewise.
    """

    pixels: npt.NDArray[np.uint8]
    points: Points

    @property
    def torso(self) -> float:
        neck, hip = (self.points[NAMES.index(name)] for name in ("neck", "hip"))
        return float(np.hypot(*(neck - hip)))


def figure(random: np.random.Generator) -> Figure:
    """One figure, all of it within the image."""
    torso = random.uniform(*TORSO)
    joints = _joints(torso, random)
    image = _ground(random)
    pen = ImageDraw.Draw(image)
    for _ in range(random.integers(CLUTTER + 1)):
        _clutter(pen, random)
    _draw(pen, joints, torso, random)
    for _ in range(random.integers(CLUTTER // 3 + 1)):
        _clutter(pen, random)
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.int16)
    noisy = pixels + random.normal(0, 6, pixels.shape).astype(np.int16)
    points = np.array([joints[name] for name in NAMES], np.float32)
    return Figure(noisy.clip(0, 255).astype(np.uint8), points)


def _joints(torso: float, random: np.random.Generator) -> dict[str, tuple[float, float]]:
    while True:
        joints = {"neck": (random.uniform(0.25, 0.75), random.uniform(0.15, 0.5))}
        for name, (start, length, angle, varies) in LIMBS.items():
            turned = math.radians(angle + random.uniform(-varies, varies))
            reach = length * torso * random.uniform(0.85, 1.15)
            x, y = joints[start]
            joints[name] = (x - reach * math.sin(turned), y + reach * math.cos(turned))
        if all(0.02 < place < 0.98 for joint in joints.values() for place in joint):
            return joints


def _draw(
    pen: ImageDraw.ImageDraw,
    joints: dict[str, tuple[float, float]],
    torso: float,
    random: np.random.Generator,
) -> None:
    colour, thick = random.uniform(90, 200, 3), torso * random.uniform(0.14, 0.22)
    for one, other in SKELETON[1:]:
        shade = 0.45 if other.startswith("left") else 1.35 if other.startswith("right") else 0.9
        _stick(pen, joints[one], joints[other], thick, _shaded(colour, shade))
    x, y = joints["head"]
    _disc(pen, x, y, 0.24 * torso, _shaded(random.uniform(90, 200, 3), 1.0))


def _clutter(pen: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    x, y, size = random.uniform(0, 1), random.uniform(0, 1), random.uniform(0.05, 0.25)
    colour = _shaded(random.uniform(60, 200, 3), random.choice([0.5, 0.9, 1.3]))
    if random.random() < 0.7:
        angle = random.uniform(0, math.pi)
        end = (x + size * math.cos(angle), y + size * math.sin(angle))
        _stick(pen, (x, y), end, random.uniform(0.02, 0.05), colour)
    else:
        _disc(pen, x, y, size / 4, colour)


def _ground(random: np.random.Generator) -> Image.Image:
    """Four colours at the corners, and what lies between."""
    corners = Image.fromarray(random.integers(30, 226, (2, 2, 3)).astype(np.uint8))
    return corners.resize((SIDE * SCALE, SIDE * SCALE), Image.Resampling.BILINEAR)


def _stick(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    thick: float,
    colour: tuple[int, ...],
) -> None:
    side = SIDE * SCALE
    ends = [(x * side, y * side) for x, y in (start, end)]
    pen.line(ends, fill=colour, width=max(1, round(thick * side)))
    for x, y in (start, end):
        _disc(pen, x, y, thick / 2, colour)


def _disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
    side = SIDE * SCALE
    pen.ellipse([value * side for value in (x - radius, y - radius, x + radius, y + radius)], fill=colour)


def _shaded(colour: npt.NDArray[np.float64], shade: float) -> tuple[int, ...]:
    return tuple((colour * shade).clip(0, 255).astype(int).tolist())
