"""The command that changes the model in use: atomic, reversible, while mail flows.

The workers of the new model are ready before the old ones end (ContentPool.reload), so no message waits or is lost; the
file that names it is written last: a crash in between starts with the old one.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from relay.clock import Clock
from relay.content.active import MOST_BEFORE, Promotion, active_model, model_folder, models_here, promotion, remember
from relay.content.bare import BareContent
from relay.content.model_files import read_card
from relay.content.protocol import ModelError
from relay.content.workers import ContentPool
from relay.control.access import require, require_whole_tree
from relay.control.audit.chain import Act
from relay.control.errors import Conflict, Invalid
from relay.control.labels.views import ModelCard, ModelOrder, ModelView
from relay.control.state.memory import State
from relay.settings import Settings
from relay.tree import Principal, Role


class ModelDesk:
    """One change at a time."""

    def __init__(
        self, state: State, clock: Clock, content: ContentPool | BareContent, settings: Callable[[], Settings]
    ) -> None:
        self._state, self._clock, self._content, self._settings = state, clock, content, settings
        self._changing = asyncio.Lock()

    def show(self, principal: Principal) -> ModelView:
        require(principal, Role.VIEWER)
        settings = self._settings()
        return _view(promotion(settings), active_model(settings), dry_run=False)

    async def cards(self, principal: Principal) -> list[ModelCard]:
        """Every model's card, the youngest first. They are about the whole installation's mail."""
        require(principal, Role.VIEWER)
        require_whole_tree(principal, "see what its models learnt from")
        settings = self._settings()
        return await asyncio.to_thread(_cards, settings, Path(active_model(settings)).name)

    async def promote(self, principal: Principal, order: ModelOrder) -> ModelView:
        """Score by another model from now on. Raises Invalid for one that cannot be used; then nothing has changed."""
        self._check(principal)
        if not order.model:
            raise Invalid("model: give the name of a model; `mailweir model ls` names them")
        async with self._changing:
            settings = self._settings()
            before = promotion(settings)
            last = [*(before.before if before else []), before.model if before else settings.content.model]
            return await self._change(principal, "model.promote", order, last[-MOST_BEFORE:])

    async def rollback(self, principal: Principal, order: ModelOrder) -> ModelView:
        """Score by the model before this one again."""
        self._check(principal)
        async with self._changing:
            found = promotion(self._settings())
            if found is None or not found.before:
                raise Conflict("no model was promoted, so there is none to go back to")
            back = ModelOrder(
                model=found.before[-1], why=order.why or f"back from {found.model}", dry_run=order.dry_run
            )
            return await self._change(principal, "model.rollback", back, found.before[:-1])

    def _check(self, principal: Principal) -> None:
        require(principal, Role.OPERATOR)
        require_whole_tree(principal, "change its model")
        if self._settings().content.model == "none" or not isinstance(self._content, ContentPool):
            raise Conflict("this relay scores nothing; set content.model and restart it first")

    async def _change(self, principal: Principal, command: str, order: ModelOrder, before: list[str]) -> ModelView:
        settings = self._settings()
        chosen = Promotion(
            model=order.model,
            over=settings.content.model,
            since_at=self._clock.now(),
            author=principal.id,
            why=order.why,
            before=before,
        )
        try:
            folder = model_folder(settings, order.model)
            await asyncio.to_thread(read_card, folder)
            if not order.dry_run:
                await self._content.reload(str(folder))
        except (ModelError, OSError) as error:
            raise Invalid(f"nothing was changed. {error}") from error
        if not order.dry_run:
            await asyncio.to_thread(remember, settings, chosen)
            await self._state.note(principal, Act(command, "", order.model, {"why": order.why}))
        return _view(chosen, str(folder), dry_run=order.dry_run)


def _view(found: Promotion | None, folder: str, *, dry_run: bool) -> ModelView:
    if found is None:
        return ModelView(model=folder)
    undo = "mailweir model rollback" if found.before else ""
    return ModelView(
        model=found.model,
        since_at=found.since_at,
        author=found.author,
        why=found.why,
        before=found.before,
        undo=undo,
        dry_run=dry_run,
    )


def _cards(settings: Settings, in_use: str) -> list[ModelCard]:
    found = []
    for name, folder in models_here(settings).items():
        is_own = folder.parent == (settings.dir / "models").resolve()
        known = ModelCard(name=name, in_use=name == in_use, is_own=is_own)
        try:
            card = read_card(folder)
        except ModelError as error:
            found.append(msgspec.structs.replace(known, trouble=str(error)))
            continue
        found.append(
            msgspec.structs.replace(
                known, made_at=card.made_at, sources=card.sources, figures=card.figures, notes=card.notes
            )
        )
    return sorted(found, key=lambda one: one.made_at, reverse=True)
