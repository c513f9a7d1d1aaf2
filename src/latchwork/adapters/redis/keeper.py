"""Keeps a session with Redis: begins one, notices when it ends, and brings what was counted alone back."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count, islice
from secrets import token_hex

from latchwork.adapters.redis import script
from latchwork.adapters.redis.connection import RedisRefused, connect
from latchwork.adapters.redis.session import Answer, Names, Session, SessionEnded
from latchwork.domains.ratelimits import Algorithm, Held, Standby

CONNECTING_S = 0.5
PAUSE_S = 0.2
"""Between attempts, and between looks at a session in which nothing is asked."""
SETTLING_S = 0.8
"""How long a node that comes back goes on enforcing its part, until all others have brought theirs too."""
PARTS_A_CALL = 200

Reset = tuple[str, Algorithm | None, int | None]


class Keeper:
    """What stands between a node and Redis besides requests.

    Every session has a number that Redis remembers, so that a call of an older one never runs late. What was
    answered alone for such a call is owed to Redis unless the call ran, which the next session finds out by
    the number of the last call that did.
    """

    def __init__(
        self,
        url: str,
        prefix: str,
        standby: Standby,
        memory: script.Operations,
        served: Callable[[Session, int], None],
        unserved: Callable[[Session | None, str], None],
        *,
        deadline_s: float,
    ) -> None:
        """`memory` begins every call that counts. `served` gets a session in which everything owed is paid."""
        self._url = url
        self._standby = standby
        self._memory = memory
        self._served = served
        self._unserved = unserved
        self._deadline_s = deadline_s
        self._names = Names(prefix, token_hex(8), 0, "", "")
        self._numbers = count(1)
        self._session: Session | None = None
        self._doubts: list[tuple[int, Callable[[], None]]] = []
        self._resets: list[Reset] = []
        self._is_first = True
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Try to begin a session, and go on trying."""
        self._ended.clear()
        await self._attempt()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the session."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._session is not None:
            self._session.end("this node is stopping")

    def owe_reset(self, reset: Reset) -> None:
        """Reset a counter in Redis too, before anything is brought to it."""
        self._resets.append(reset)

    def doubt(self, number: int, did_not_run: Callable[[], None]) -> None:
        """Call `did_not_run` once it is known that the call of that number did not."""
        self._doubts.append((number, did_not_run))

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    await self._ended.wait()
            if self._session is None:
                self._ended.clear()
                if not await self._attempt():
                    await asyncio.sleep(PAUSE_S)
            elif not self._session.in_flight:
                await self._beat(self._session)

    async def _attempt(self) -> bool:
        try:
            await self._begin()
        except (OSError, RedisRefused, SessionEnded, TimeoutError) as error:
            self._unserved(None, str(error) or "Redis cannot be reached")
        return self._session is not None

    async def _beat(self, session: Session) -> None:
        """See whether Redis still answers and knows what it counted."""
        with suppress(SessionEnded):
            answer = await session.ask([])
            if answer.status != script.RAN:
                session.end("what was counted is gone")

    async def _begin(self) -> None:
        is_first, self._is_first = self._is_first, False
        async with asyncio.timeout(CONNECTING_S):
            line = await connect(self._url)
        self._names = self._names._replace(session=self._names.session + 1, next_epoch=token_hex(8))
        session = Session(
            line,
            self._names,
            self._numbers,
            lambda reason: self._end(session, reason),
            deadline_s=self._deadline_s,
        )
        try:
            opened = await session.ask([])
            is_new = opened.status == script.ANOTHER_EPOCH
            self._resolve(0 if is_new else opened.ran)
            session.names = session.names._replace(epoch=opened.epoch)
            await self._reset(session)
            if is_new:
                await self._tell(session, self._standby.known(), known=True)
            # not before, or the next session would not tell what this one could not
            self._names = session.names
            if not is_first:
                await self._settle(session)
            await self._pay(session)
        except BaseException:
            session.end("it could not be begun")
            raise
        self._session = session
        self._served(session, opened.now_ms)

    def _end(self, session: Session, reason: str) -> None:
        if self._session is session:
            self._session = None
            self._ended.set()
        self._unserved(session, reason)

    def _resolve(self, ran: int) -> None:
        doubts, self._doubts = self._doubts, []
        for number, did_not_run in doubts:
            if number > ran:
                did_not_run()

    async def _reset(self, session: Session) -> None:
        while self._resets:
            operations: script.Operations = []
            some = self._resets[:PARTS_A_CALL]
            for reset in some:
                script.add_reset(operations, *reset)
            await self._run(session, operations)
            del self._resets[: len(some)]

    async def _tell(self, session: Session, parts: Iterable[Held], *, known: bool) -> None:
        rest = iter(parts)
        while some := list(islice(rest, PARTS_A_CALL)):
            await self._run(session, self._operations(some, known))

    async def _settle(self, session: Session) -> None:
        """Bring what was admitted alone, and wait for the others: until then the shared counters say too little."""
        await self._bring(session, self._standby.debts())
        await asyncio.sleep(SETTLING_S)

    async def _bring(self, session: Session, debts: Iterable[Held]) -> None:
        """Bring these; what did not arrive is owed again, what may have arrived is in doubt."""
        rest = iter(debts)
        try:
            while some := list(islice(rest, PARTS_A_CALL)):
                await self._run(session, self._operations(some, known=False))
        except SessionEnded as ended:
            self._doubt_debts(ended.number, some)
            self._standby.owe_again(rest)
            raise

    async def _pay(self, session: Session) -> None:
        """Bring what was admitted alone; the last of it is on its way before anything else can be asked."""
        while True:
            debts = self._standby.debts()
            if len(debts) <= PARTS_A_CALL:
                break
            await self._bring(session, debts)
        if debts:

            def answered(answer: Answer | None) -> None:
                if answer is None:
                    self._doubt_debts(call.number, debts)
                elif answer.status != script.RAN:
                    self._standby.owe_again(debts)
                    session.end("what was counted is gone")

            call = session.call(self._operations(debts, known=False), answered)
        if session.has_ended:  # while nothing was waited for that would have told
            raise SessionEnded(next(self._numbers))
        self._standby.relieve()

    def _doubt_debts(self, number: int, debts: Sequence[Held]) -> None:
        self.doubt(number, lambda: self._standby.owe_again(debts))

    async def _run(self, session: Session, operations: script.Operations) -> None:
        answer = await session.ask(operations)
        if answer.status != script.RAN:
            session.end("what was counted is gone")
            raise SessionEnded(next(self._numbers))

    def _operations(self, parts: Iterable[Held], known: bool) -> script.Operations:
        operations = list(self._memory)
        for part in parts:
            script.add_held(operations, part, known=known)
        return operations
