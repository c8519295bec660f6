"""The fraction of a build that is done, of phases inside phases."""

from regard.export.tensorrt.monitor import Phases


def test_phases_inside_each_other() -> None:
    phases = Phases()
    phases.start("build", None, 2)
    phases.start("optimize", "build", 4)
    assert phases.fraction == 0
    phases.step("optimize", 1)
    assert phases.fraction == 0.25  # two of four steps of the first half
    phases.finish("optimize")
    assert phases.fraction == 0.5
    phases.start("time", "build", 1)
    phases.start("tactics", "time", 2)
    phases.step("tactics", 0)
    assert phases.fraction == 0.75


def test_it_neither_falls_nor_passes_the_end() -> None:
    phases = Phases()
    phases.start("build", None, 1)
    seen = [phases.fraction]
    for turn in range(3):  # more than the library announced
        phases.start(f"part {turn}", "build", 2)
        phases.step(f"part {turn}", 0)
        seen.append(phases.fraction)
        phases.step(f"part {turn}", 5)
        phases.finish(f"part {turn}")
        seen.append(phases.fraction)
    phases.step("build", 9)
    assert seen == sorted(seen)
    assert phases.fraction == 1


def test_phases_that_nobody_announced() -> None:
    phases = Phases()
    phases.step("unknown", 3)
    phases.finish("unknown")
    phases.start("orphan", "unknown", 0)
    phases.step("orphan", 0)
    assert phases.fraction == 1
