"""GPUs on the bus, by the kernel's files."""

from pathlib import Path

from regard.serving.machine.pci import plugged_in


def test_only_nvidias_gpus_count(tmp_path: Path) -> None:
    for name, vendor, kind in (
        ("0000:00:01.0", "0x10de", "0x030200"),
        ("0000:00:01.1", "0x10de", "0x040300"),  # the sound of the same card
        ("0000:00:02.0", "0x8086", "0x030000"),
        ("0000:00:03.0", "0x10de", "0x030000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(vendor + "\n")
        (tmp_path / name / "class").write_text(kind + "\n")
    assert plugged_in(tmp_path) == 2
    assert plugged_in(tmp_path / "nothing") == 0
