"""The models of a running service: the one that answers, the one before it, and one that may score behind it.

A new model is loaded and checked beside the one that answers. The switch is one assignment on the event loop: a request
ends on the model that it began with, and whatever comes after it goes to the new one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forewarn.inference.bundle import GoldenVector
from forewarn.inference.classifier import ScamClassifier, Verdict
from forewarn.inference.service.errors import Refusal, place
from forewarn.inference.service.logs import LOGGER
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.model_loading import Loaded, Loader, Place, digest_of
from forewarn.inference.service.model_state import Report, Wanted, open_state
from forewarn.inference.service.scoring import Asked, Scorer
from forewarn.inference.service.settings import Settings
from forewarn.inference.service.shadow import Shadow

_WATCH_S = 1.0
# How long a change waits for the other workers to follow before it says that they have not.
_FOLLOW_S = 20.0

logger = logging.getLogger(LOGGER)


@dataclass(frozen=True)
class _Model:
    """A model that can answer at once."""

    scorer: Scorer
    place: Place


class Models:
    """What answers the requests of one worker process, and how it is exchanged."""

    def __init__(self, classifier: ScamClassifier, golden: GoldenVector, settings: Settings, metrics: Metrics) -> None:
        """Set up with the model of the start; nothing runs before `start`."""
        self._settings = settings
        self._metrics = metrics
        self._loader = Loader(settings)
        self._state = open_state()
        first = Place(str(self._loader.start), digest_of(classifier.manifest), classifier.version)
        self._current = _Model(Scorer(classifier, golden, settings, metrics), first)
        self._count(self._current, 1)
        self._before: _Model | None = None
        self._shadow: Shadow | None = None
        self._lock = asyncio.Lock()
        self._seen = -1  # serial of the last change that was taken up
        self._followed = True
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def classifier(self) -> ScamClassifier:
        """The model that answers now."""
        return self._current.scorer.classifier

    @property
    def digest(self) -> str:
        """Tells the model that answers now from another one of the same version; see `Place.short_digest`."""
        return self._current.place.short_digest

    @property
    def full_for_s(self) -> float | None:
        """See `Batcher.full_for_s`; of the model that answers now."""
        return self._current.scorer.full_for_s

    async def start(self) -> None:
        """Begin to answer, with what the other workers run; from within the event loop."""
        self._current.scorer.start()
        self._state.join(self._current.place)
        await self._follow()
        self._begin(self._watch())

    def stop(self) -> None:
        """Stop all models, after the last request."""
        for task in self._tasks:
            task.cancel()
        for model in (self._current, self._before):
            if model:
                model.scorer.stop()
        if self._shadow:
            self._shadow.stop()
        self._state.leave()

    async def score(self, messages: Sequence[Asked], deadline: float, patient: bool = False) -> list[Verdict]:
        """Verdicts in order, all of one model; see `Scorer.score`."""
        verdicts = await self._current.scorer.score(messages, deadline, patient)
        if self._shadow:
            self._shadow.offer(messages, verdicts)
        return verdicts

    async def explain(self, messages: Sequence[Asked], deadline: float) -> list[Verdict]:
        """Verdicts with evidence and forewarning, in order, all of one model; see `Scorer.explain`."""
        verdicts = await self._current.scorer.explain(messages, deadline)
        if self._shadow:
            self._shadow.offer(messages, verdicts)
        return verdicts

    async def ready(self) -> bool:
        """Whether the model that answers has given a golden vector its verdict."""
        return await self._current.scorer.ready()

    async def change(self, asked: str | None, share: float | None) -> None:
        """Let another bundle answer, here and in the other workers, or score behind the one that does.

        Args:
            asked: the bundle, within the setting `bundles`; None is the one of the start.
            share: of the traffic that it scores behind the other one; None lets it answer.

        Raises:
            Refusal: 422 for a bundle that cannot be used, 409 while another change is running; nothing is changed then.
        """
        await self._change(self._loader.find(asked), share)

    async def roll_back(self) -> None:
        """Let the model answer that did before the last change; the two change places.

        Raises:
            Refusal: 422 where there is none, 409 while another change is running.
        """
        with self._state.turn():
            await self._follow()
            async with self._lock:
                was = self._state.read()
                if was.before is None:
                    raise Refusal("model_refused", "no model was there before this one")
                await self._apply(Wanted(was.serial + 1, was.before, was.running))
            await self._others()

    def reload(self) -> None:
        """Load the bundle anew from where it was opened, in the background; from within the event loop."""
        self._begin(self._reload())

    def about(self) -> dict[str, Any]:
        """What runs here, what ran before, how many workers are as far, and what the shadows of all have counted."""
        self._report()
        wanted = self._state.read()
        reports = self._state.reports()
        level = [x for x in reports if x.serial == wanted.serial and x.done]
        shadow = None
        if wanted.shadow:
            tally = sum((Counter(x.shadow) for x in level), Counter[str]())
            which = {"version": wanted.shadow.version, "digest": wanted.shadow.short_digest}
            shadow = {**which, "share": wanted.share, **_figures(tally)}
        return {
            "version": self.classifier.version,
            "digest": self.digest,
            "before": wanted.before.version if wanted.before else None,
            "shadow": shadow,
            "workers": {"all": len(reports), "changed": len(level)},
        }

    async def _change(self, path: Path, share: float | None) -> None:
        with self._state.turn():
            await self._follow()
            async with self._lock:
                was = self._state.read()
                try:
                    loaded = await asyncio.to_thread(self._loader.load, path, None, 1 if share else None)
                except Refusal:
                    self._metrics.model_changes.labels("refused").inc()
                    raise
                if share:
                    wanted = replace(was, serial=was.serial + 1, shadow=loaded.place, share=share)
                else:
                    same = loaded.place.digest == was.running.digest
                    wanted = Wanted(was.serial + 1, loaded.place, was.before if same else was.running)
                await self._apply(wanted, loaded)
            await self._others()

    async def _apply(self, wanted: Wanted, loaded: Loaded | None = None) -> None:
        """Run what is wanted here, and tell the other workers; in turn, and with the lock."""
        await self._become(wanted, loaded)
        self._seen, self._followed = wanted.serial, True
        self._state.write(wanted)
        self._report()
        self._metrics.model_changes.labels("changed").inc()

    async def _become(self, wanted: Wanted, loaded: Loaded | None = None) -> None:
        """Run what is wanted; raises a Refusal, and changes nothing, where a bundle cannot be had."""
        known = [x for x in (self._current, self._before) if x and x.place.digest == wanted.running.digest]
        if known:
            model = replace(known[0], place=wanted.running)
        else:
            new = loaded or await self._load(wanted.running)
            model = _Model(Scorer(new.classifier, new.golden, self._settings, self._metrics, verified=True), new.place)
        shadow = None
        if wanted.shadow:
            behind = loaded if loaded and loaded.place == wanted.shadow else await self._load(wanted.shadow, threads=1)
            shadow = Shadow(behind.classifier, wanted.share, lambda: self._current.scorer.waiting > 0, self._metrics)
        # Nothing below can fail, and nothing else runs in between.
        if not known:
            model.scorer.start()
        self._switch(model)
        if self._shadow:
            self._shadow.stop()
        self._shadow = shadow
        if shadow:
            shadow.start()
        if wanted.serial:  # else nobody has asked for anything yet
            fields = {"model": wanted.running.version, "digest": wanted.running.short_digest, "shadow": None}
            if wanted.shadow:
                fields |= {"shadow": wanted.shadow.version, "shadow_digest": wanted.shadow.short_digest}
            logger.info("these models run now", extra={"fields": fields})

    def _switch(self, model: _Model) -> None:
        """Let `model` answer; what answered is kept, and what was kept so far goes."""
        if model.scorer is self._current.scorer:
            self._current = model
            return
        self._count(self._current, 0)
        self._count(model, 1)
        gone, self._before, self._current = self._before, self._current, model
        self._before.scorer.forget()
        if gone and gone.scorer is not model.scorer:
            self._begin(gone.scorer.retire())

    def _count(self, model: _Model, running: int) -> None:
        self._metrics.model_running.labels(model.place.version, model.place.short_digest).set(running)

    async def _load(self, where: Place, threads: int | None = None) -> Loaded:
        return await asyncio.to_thread(self._loader.load, Path(where.bundle), where.digest, threads)

    async def _follow(self) -> None:
        """Take up what another worker has changed."""
        async with self._lock:
            wanted = self._state.read()
            if wanted.serial == self._seen:
                return
            try:
                await self._become(wanted)
                self._followed = True
            except Refusal as refusal:
                self._followed = False
                self._metrics.model_changes.labels("refused").inc()
                logger.error("a change could not be followed", extra={"fields": {"why": refusal.message}})
            self._seen = wanted.serial
            self._report()

    async def _others(self) -> None:
        """Wait until the other workers have followed, or could not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FOLLOW_S):
                while any(x.serial < self._seen for x in self._state.reports()):
                    await asyncio.sleep(0.05)

    async def _watch(self) -> None:
        told = False
        while True:
            await asyncio.sleep(_WATCH_S)
            try:
                await self._follow()
                self._report()
                told = False
            except Exception as error:
                if not told:  # said once, not every second
                    logger.error("what the workers share could not be read", extra={"fields": {"error": place(error)}})
                told = True

    async def _reload(self) -> None:
        try:
            async with asyncio.timeout(_FOLLOW_S):
                while True:
                    try:
                        await self._change(Path(self._state.read().running.bundle), None)
                        return
                    except Refusal as refusal:
                        if refusal.code != "change_running":
                            raise
                    await asyncio.sleep(_WATCH_S / 4)
        except Refusal as refusal:
            logger.error("the bundle was not loaded anew", extra={"fields": {"why": refusal.message}})
        except Exception as error:
            logger.error("the bundle was not loaded anew", extra={"fields": {"error": place(error)}})

    def _report(self) -> None:
        self._state.report(Report(self._seen, self._followed, dict(self._shadow.tally) if self._shadow else {}))

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _figures(tally: Counter[str]) -> dict[str, Any]:
    """What shadows have counted, as it is told: messages, dropped, and a table each for verdicts and actions."""
    figures: dict[str, Any] = {
        "messages": tally["messages"],
        "dropped": tally["dropped"],
        "verdicts": {},
        "actions": {},
    }
    for name, number in sorted(tally.items()):
        kind, *pair = name.split("\t")
        if pair:
            running, shadow = pair
            figures[kind].setdefault(running, {})[shadow] = number
    return figures
