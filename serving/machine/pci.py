"""NVIDIA's GPUs that are plugged in, whether or not a driver runs them."""

from pathlib import Path

DEVICES = Path("/sys/bus/pci/devices")
NVIDIA = "0x10de"
DISPLAY = "0x03"  # how the class of graphics cards and of those that compute alone begins


def plugged_in(devices: Path = DEVICES) -> int:
    """How many there are; devices: the kernel's folder of them."""
    return sum(
        _read(device / "vendor") == NVIDIA and _read(device / "class").startswith(DISPLAY)
        for device in devices.glob("*")
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
