"""What every open page is told at once: answers of others, that the store was solved again, that it is busy."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

QUIET_S: Final = 15.0  # after which a line keeps the connection open
MOST_WAITING: Final = 1000  # events that a page which does not read may leave behind


class Events:
    """The pages that listen; used from the loop of the server alone."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Queue[bytes | None]] = set()

    def tell(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell all pages."""
        line = _written(name, data)
        for queue in list(self._waiting):
            if queue.qsize() < MOST_WAITING:
                queue.put_nowait(line)

    def close(self) -> None:
        """Tell all pages that the server ends, and let them go."""
        self.tell("closing", {})
        for queue in self._waiting:
            queue.put_nowait(None)

    async def listen(self, name: str, data: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Yield a first event, and then what is told, as it is sent."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting.add(queue)
        try:
            yield _written(name, data)
            while True:
                try:
                    line = await asyncio.wait_for(queue.get(), QUIET_S)
                except TimeoutError:
                    line = b": still there\n\n"
                if line is None:
                    return
                yield line
        finally:
            self._waiting.discard(queue)


def _written(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
