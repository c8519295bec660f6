"""Colours of classes, for a Card without a palette of its own.

Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010: the bits of the class number are
spread over red, green and blue, so that neighbouring numbers look different.
"""

Colour = tuple[int, int, int]  # red, green, blue: 0 to 255


def default_palette(classes: int) -> tuple[Colour, ...]:
    """PASCAL VOC's colours of the classes 0 to `classes` - 1; class 0 is black."""
    return tuple(_colour(index) for index in range(classes))


def _colour(index: int) -> Colour:
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]
