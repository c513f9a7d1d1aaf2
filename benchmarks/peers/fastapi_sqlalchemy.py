"""The same check as a competent team would write it in an afternoon: FastAPI, SQLAlchemy and slowapi.

`python -m benchmarks.peers.fastapi_sqlalchemy --port P --data-dir D --caller TOKEN --keys FILE`
serves `POST /v2/keys.verifyKey` for the keys in FILE, one a line.

Nothing in it is made slow on purpose: uvloop and httptools, no middleware, no access log, SQLite in
WAL with `synchronous=NORMAL`, indexed lookups by digest, one session and one transaction a request.
Of the arrangements tried this is the cheapest: sessions as dependencies cost 10 % more, endpoints in
the thread pool half as much again. Limits are kept by slowapi's own strategy object, asked directly
because slowapi's decorator sees no request body; that is less work than the decorator. The event row
is committed before the answer (a quarter of the cost), which is what there is without building a
buffer and its draining.
"""

import argparse
import hashlib
import time
import uuid
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from limits import parse
from pydantic import BaseModel, Field
from slowapi import Limiter
from slowapi.util import get_remote_address
from sqlalchemy import JSON, ForeignKey, create_engine, event, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker


class Base(DeclarativeBase):
    """The tables."""


class Caller(Base):
    """Who may verify keys."""

    __tablename__ = "callers"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)


class Key(Base):
    """A key and its limit."""

    __tablename__ = "keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    name: Mapped[str | None]
    enabled: Mapped[bool] = mapped_column(default=True)
    expires_ms: Mapped[int | None]
    meta: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    limit: Mapped[int]
    duration_s: Mapped[int]


class Verification(Base):
    """What was answered."""

    __tablename__ = "verifications"
    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("keys.id"))
    time_ms: Mapped[int]
    code: Mapped[str]


class VerifyRequest(BaseModel):
    """The body of a verification."""

    key: str = Field(min_length=1, max_length=512)


class LimitState(BaseModel):
    """One limit as it stands."""

    name: str
    limit: int
    remaining: int
    reset: int
    exceeded: bool


class VerifyData(BaseModel):
    """The verdict."""

    valid: bool
    code: str
    key_id: str | None = Field(default=None, serialization_alias="keyId")
    name: str | None = None
    enabled: bool | None = None
    ratelimits: list[LimitState] = []


class Meta(BaseModel):
    """About the answer."""

    request_id: str = Field(serialization_alias="requestId")


class VerifyResponse(BaseModel):
    """The envelope."""

    meta: Meta
    data: VerifyData


def build(engine: Engine) -> FastAPI:
    """The service over `engine`."""
    app = FastAPI()
    limiter = Limiter(key_func=get_remote_address)
    app.state.limiter = limiter
    sessions = sessionmaker(engine, expire_on_commit=False)

    @app.post("/v2/keys.verifyKey")
    async def verify(body: VerifyRequest, authorization: Annotated[str, Header()]) -> VerifyResponse:
        with sessions() as db:
            _require_caller(db, authorization)
            key = db.scalar(select(Key).where(Key.digest == _digest(body.key)))
            if key is None:
                return _answer(VerifyData(valid=False, code="NOT_FOUND"))
            now_ms = time.time_ns() // 1_000_000
            data = _decide(limiter, key, now_ms)
            db.add(Verification(key_id=key.id, time_ms=now_ms, code=data.code))
            db.commit()
            return _answer(data)

    return app


def _require_caller(db: Session, authorization: str) -> None:
    token = authorization.removeprefix("Bearer ")
    if db.scalar(select(Caller).where(Caller.digest == _digest(token))) is None:
        raise HTTPException(401)


def _decide(limiter: Limiter, key: Key, now_ms: int) -> VerifyData:
    data = VerifyData(valid=False, code="VALID", key_id=str(key.id), name=key.name, enabled=key.enabled)
    if not key.enabled:
        data.code = "DISABLED"
    elif key.expires_ms is not None and key.expires_ms <= now_ms:
        data.code = "EXPIRED"
    else:
        _limit(limiter, key, data)
    data.valid = data.code == "VALID"
    return data


def _limit(limiter: Limiter, key: Key, data: VerifyData) -> None:
    rule = parse(f"{key.limit}/{key.duration_s}second")
    allowed = limiter.limiter.hit(rule, "key", str(key.id))
    window = limiter.limiter.get_window_stats(rule, "key", str(key.id))
    data.ratelimits = [
        LimitState(
            name="requests",
            limit=key.limit,
            remaining=window.remaining,
            reset=int(window.reset_time * 1000),
            exceeded=not allowed,
        )
    ]
    if not allowed:
        data.code = "RATE_LIMITED"


def _answer(data: VerifyData) -> VerifyResponse:
    return VerifyResponse(meta=Meta(request_id=f"req_{uuid.uuid4().hex[:9]}"), data=data)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=40, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA busy_timeout=5000")

    return engine


def _fill(engine: Engine, caller: str, keys: list[str]) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as db:
        db.add(Caller(digest=_digest(caller)))
        db.add_all(
            Key(digest=_digest(key), name="benchmark", limit=1_000_000_000, duration_s=60) for key in keys
        )
        db.commit()


def main() -> None:
    """Fill a database with the keys and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--caller", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    asked = parser.parse_args()
    engine = _engine(asked.data_dir / "peer.db")
    _fill(engine, asked.caller, asked.keys.read_text().splitlines())
    uvicorn.run(build(engine), port=asked.port, loop="uvloop", http="httptools", log_level="warning")


if __name__ == "__main__":
    main()
