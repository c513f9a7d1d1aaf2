"""One method for every call, declared once for clients that wait and clients that are awaited."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from latchwork.client import calls
from latchwork.client.calls import Call

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class Blocking(Protocol):
    """A client whose calls return when they are answered."""

    def send(self, call: Call[S]) -> S:
        """The answer."""
        ...


class Awaited(Protocol):
    """A client whose calls are awaited."""

    async def send(self, call: Call[S]) -> S:
        """The answer."""
        ...


class Verb(Generic[P, R]):
    """A method that makes a call of its arguments and sends it."""

    def __init__(self, make: Callable[P, Call[R]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "Verb[P, R]": ...
    @overload
    def __get__(self, client: Awaited, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, client: Blocking, owner: type) -> Callable[P, R]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self
        make = self._make

        @wraps(make)
        def ask(*arguments: P.args, **named: P.kwargs) -> Any:
            return client.send(make(*arguments, **named))

        return ask


class Verbs:
    """The methods that both clients have; `latchwork.client.calls` says what each does."""

    verify_key = Verb(calls.verify_key)
    verify_keys = Verb(calls.verify_keys)
    explain_key = Verb(calls.explain_key)
    create_key = Verb(calls.create_key)
    get_key = Verb(calls.get_key)
    update_key = Verb(calls.update_key)
    delete_key = Verb(calls.delete_key)
    update_credits = Verb(calls.update_credits)
    create_api = Verb(calls.create_api)
    create_identity = Verb(calls.create_identity)
    limit = Verb(calls.limit)
    multi_limit = Verb(calls.multi_limit)
