"""Which models and versions a server has loaded: what lies in the repository, as far as it proved itself.

The server looks at no folder by itself (`--model-control-mode=explicit`). We compare the repository with what
it was, check the files of what changed, load it, and judge it by its answers; until the verdict it answers
already. What fails gives way to what answered before. Each model stands for itself: one that is refused takes
none with it but those that call it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.names import CONFIG_FILE
from regard.errors import RegardError, ServerError
from regard.serving.protocol.wire import Fault
from regard.serving.repository.config import read_config
from regard.serving.repository.dependencies import in_order, needed_by
from regard.serving.repository.engine_choice import Choice
from regard.serving.repository.snapshot import FolderState, snapshot
from regard.serving.repository.version_policy import chosen, with_versions
from regard.serving.triton.loader import Loader

Check = Callable[[Path, str], None]
Judge = Callable[[str, tuple[int, ...]], str | None]
Choose = Callable[[Path, ModelConfig, tuple[int, ...]], Choice]
AT_A_TIME = 8  # models that load at the same time


T = TypeVar("T")
# a model's folder, and what it needs that is not served
_Situation = tuple[FolderState, frozenset[str]]


@dataclass(frozen=True)
class Loaded:
    """Versions of a model, rising, by a configuration, and the folder that they were loaded from."""

    config: ModelConfig
    versions: tuple[int, ...]
    folder: FolderState

    def is_in(self, folder: FolderState) -> bool:
        """Whether these versions lie there as they were."""
        return all(
            version in folder.versions and folder.of(version) == self.folder.of(version)
            for version in self.versions
        )

    def is_all_of(self, config: ModelConfig, folder: FolderState) -> bool:
        """Whether these very versions, by this configuration, are what the server would load from there."""
        return (
            self.config == config
            and self.versions == chosen(config, folder.versions)
            and self.is_in(folder)
            and self.folder.beside_versions == folder.beside_versions
        )


class ModelControl:
    """Keeps a server on a repository.

    Args:
        repository: the model repository.
        check: called with the repository and a model's name before its files are loaded; raises a RegardError
            to refuse them.
        judge: called with a name and the versions that were loaded; returns why they may not stay, or None.
            Called from several threads, as check is. A RegardError is a reason too.
        choose: called with a model's folder, its configuration and the versions that are to be loaded;
            returns the configuration that the server is given for them.
        report: told in a line what was loaded, refused and unloaded.
        strict: raise at the first refusal.
    """

    def __init__(
        self,
        repository: Path,
        *,
        check: Check,
        judge: Judge,
        choose: Choose,
        report: Callable[[str], None],
        strict: bool,
    ) -> None:
        self.repository = repository
        self.check = check
        self.judge = judge
        self.choose = choose
        self.report = report
        self.strict = strict
        self.served: dict[str, Loaded] = {}  # in the order they were loaded in
        self.refused: dict[str, str] = {}  # with the reason
        self.notes: dict[str, tuple[str, ...]] = {}  # how what was loaded computes, where that needs a word
        self._seen: dict[str, FolderState] = {}
        self._needs: dict[str, frozenset[str]] = {}
        self._handled: dict[str, _Situation] = {}  # what was acted upon
        self._suspects: set[str] = set()  # were being loaded together when the server ended

    def update(self, loader: Loader, *, at_once: bool = False) -> None:
        """Take up what is new or changed, and let go what is gone.

        Args:
            loader: of the running server.
            at_once: act on what is there now; otherwise only on what was the same at the last call, so that
                a model that is being copied is not taken for a broken one.

        Raises:
            ServerError: a refusal, where the control is strict; the server is left with what it may serve.
            Fault: the server does not answer. What it was loading then is not tried again until it changes;
                where that was several models, each is tried once more, by itself.
        """
        try:
            last, now = self._seen, snapshot(self.repository)
        except OSError:
            return  # out of reach at the moment, which is no reason to unload anything
        settled = {name for name in {*now, *self.served} if at_once or now.get(name) == last.get(name)}
        self._needs = {
            name: self._needs[name] if name in self._needs and folder == last.get(name) else self._read(name)
            for name, folder in now.items()
        }
        self._seen = now
        for name in reversed([*self.served]):
            if name in settled and name not in now:
                self.report(f"{name}: {_named(self.served[name].versions)} unloaded")
                self._unload(loader, name)
        for name in self._handled.keys() - now.keys():
            del self._handled[name]
            self.refused.pop(name, None)
        for names in in_order(self._needs):
            found = {name: (now[name], self._needs[name] - self.served.keys()) for name in names}
            due = {
                name: situation
                for name, situation in found.items()
                if name in settled and self._handled.get(name) != situation
            }
            alone = [{name: due.pop(name)} for name in sorted(self._suspects & due.keys())]
            for batch in (due, *alone):
                try:
                    _at_a_time(partial(self._take_up, loader, at_once=at_once), batch)
                except Fault:
                    self._blame(batch)
                    raise
                self._suspects -= batch.keys()

    def restore(self, loader: Loader) -> None:
        """After a restart of the server, load again what it served; what was refused stays refused.

        Raises:
            ServerError, Fault: as of `update`.
        """
        wanted, self.served = self.served, {}
        self._seen = snapshot(self.repository)
        try:
            for names in in_order({name: needed_by(loaded.config) for name, loaded in wanted.items()}):
                _at_a_time(partial(self._restore, loader), {name: wanted[name] for name in names})
        except BaseException:
            self.served = wanted
            raise

    def _restore(self, loader: Loader, name: str, loaded: Loaded) -> None:
        folder = self._seen.get(name)
        missing = needed_by(loaded.config) - self.served.keys()
        if folder is None:
            self.report(f"{name} is gone")
        elif missing or not loaded.is_in(folder):
            self._take_up(loader, name, (folder, missing), at_once=True)
        elif reason := self._give(loader, name, loaded):
            self._refuse(name, loaded.versions, reason)
        else:
            self.served[name] = loaded
            self._report_loaded(name, loaded.versions)

    def _blame(self, due: Mapping[str, _Situation]) -> None:
        """What was being loaded when the server ended may have ended it; of several nobody knows which."""
        loading = [name for name, situation in due.items() if self._is_loading(name, situation)]
        if len(loading) > 1:
            self._suspects.update(loading)
            for name in loading:
                del self._handled[name]
            self.report(
                f"the server ended or hung while it loaded {', '.join(loading)}; each is tried alone now"
            )
            return
        for name in loading:
            reason = "the server ended or hung while it loaded this"
            self.refused[name] = reason
            self.report(f"{name} refused: {reason}; it is tried again when its files change")
        self._suspects.difference_update(loading)

    def _is_loading(self, name: str, situation: _Situation) -> bool:
        before = self.served.get(name)
        return (
            self._handled.get(name) == situation
            and name not in self.refused
            and (before is None or before.folder != situation[0])
        )

    def _take_up(self, loader: Loader, name: str, situation: _Situation, *, at_once: bool) -> None:
        self._handled[name] = situation  # first of all: what ends the server is not tried again
        self.refused.pop(name, None)
        folder, missing = situation
        lacking = _lacking(folder)
        if lacking and not at_once and name not in self.served:
            self.report(f"{name} has no {lacking} yet; waiting for it")
            return
        try:
            self.check(self.repository, name)
            config = read_config(self.repository / name / CONFIG_FILE)
        except (RegardError, OSError) as error:
            self._refuse(name, (), str(error))
            return
        if missing:
            if name in self.served:
                self._unload(loader, name)
            self._refuse(name, (), f"it needs {', '.join(sorted(missing))}, which is not served")
            return
        self._load(loader, name, config, folder)

    def _load(self, loader: Loader, name: str, config: ModelConfig, folder: FolderState) -> None:
        """Load what the files say, or else the best that proves itself."""
        before = answering = self.served.get(name)
        if before is not None and before.is_all_of(config, folder):
            self.served[name] = Loaded(config, before.versions, folder)
            return
        wanted = chosen(config, folder.versions)
        reason = None if wanted else "its version_policy chooses none of its versions"
        for candidate in _candidates(config, folder, before):
            fault = self._give(loader, name, candidate)
            if fault is None:
                answering = candidate
                # what answered before was judged then
                fault = None if candidate is before else self._verdict(name, candidate.versions)
                if fault is None:
                    break
            reason = reason or fault
            if before is not None and answering is before and not before.is_in(folder):
                break  # it is in memory still, and nowhere else
        else:
            self._unload(loader, name)
            answering = None
        if answering is not None:
            self.served[name] = answering
        if reason is not None:
            self._refuse(name, wanted, reason)
            return
        gone = sorted({*(before.versions if before else ())} - {*wanted})
        self._report_loaded(name, wanted, f", {_named(gone)} unloaded" if gone else "")

    def _give(self, loader: Loader, name: str, candidate: Loaded) -> str | None:
        """Have the server load versions, by the configuration that is chosen for them; the reason where it
        cannot.
        """
        config = with_versions(candidate.config, candidate.versions)
        try:
            choice = self.choose(self.repository / name, config, candidate.versions)
        except RegardError as error:
            return str(error)
        fault = loader.load(name, choice.config)
        if fault is None:
            why = () if choice.why is None else (choice.why,)
            self.notes[name] = (*why, *loader.notices.get(name, ()))
        return fault

    def _report_loaded(self, name: str, versions: Iterable[int], more: str = "") -> None:
        self.report(f"{name}: {_named(versions)} loaded{more}")
        for note in self.notes[name]:
            self.report(f"{name}: {note}")

    def _verdict(self, name: str, versions: tuple[int, ...]) -> str | None:
        try:
            return self.judge(name, versions)
        except RegardError as error:
            return str(error)

    def _unload(self, loader: Loader, name: str) -> None:
        loader.unload(name)
        self.served.pop(name, None)
        self.notes.pop(name, None)

    def _refuse(self, name: str, versions: Iterable[int], reason: str) -> None:
        self.refused[name] = reason
        which = f"{name}: {_named(versions)}" if versions else name
        answering = self.served.get(name)
        rest = f"served instead: {_named(answering.versions)}" if answering else "nothing of it is served"
        self.report(f"{which} refused: {reason}; {rest}")
        if self.strict:
            raise ServerError(f"model {name!r}: {reason}")

    def _read(self, name: str) -> frozenset[str]:
        try:
            return needed_by(read_config(self.repository / name / CONFIG_FILE))
        except RegardError:
            return frozenset()  # refused when it is taken up


def _candidates(config: ModelConfig, folder: FolderState, before: Loaded | None) -> Iterator[Loaded]:
    """What may answer, best first: what the files say, what answered before, the files without their newest
    version, and so on.
    """
    present = list(folder.versions)
    while versions := chosen(config, present):
        yield Loaded(config, versions, folder)
        if before is not None and before.is_in(folder):
            yield before
        before = None
        present.remove(versions[-1])


def _lacking(folder: FolderState) -> str | None:
    if CONFIG_FILE not in folder.files:
        return CONFIG_FILE
    return None if folder.versions else "version"


def _named(versions: Iterable[int]) -> str:
    numbers = [*map(str, versions)]
    return f"version{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _at_a_time(work: Callable[[str, T], None], models: Mapping[str, T]) -> None:
    pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="load")
    try:
        for _ in pool.map(work, models.keys(), models.values()):
            pass
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    finally:  # whoever interrupts it stops the server, which ends them all
        pool.shutdown(wait=False, cancel_futures=True)
