"""How a question is read, and what is said about one that cannot be."""

import pytest

from latchwork.domains.verification import LimitClaim
from latchwork.surfaces.forward_auth.faults import InvalidQuestion
from latchwork.surfaces.forward_auth.questions import LONGEST_BYTES, Question, question_of
from tests.surfaces.forward_auth.conftest import Make, Proxy

API = "api=api_1"


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("api=api_1", Question("api_1")),
        ("&api=api%5F1&", Question("api_1")),
        (f"{API}&permissions=a+AND+%28b%29", Question("api_1", permissions="a AND (b)")),
        (f"{API}&cost=0", Question("api_1", cost=0)),
        (f"{API}&cost=1000000000000", Question("api_1", cost=10**12)),
        (f"{API}&tag=a%3Db&tag=c", Question("api_1", tags=("a=b", "c"))),
        (f"{API}&migration=mig_1", Question("api_1", migration_id="mig_1")),
        (f"{API}&limit=req", Question("api_1", limits=(LimitClaim("req"),))),
        (f"{API}&limit=req,cost=0", Question("api_1", limits=(LimitClaim("req", 0),))),
        (f"{API}&limit=a,b,cost=2", Question("api_1", limits=(LimitClaim("a,b", 2),))),
        (f"{API}&limit=a,size=2", Question("api_1", limits=(LimitClaim("a,size=2"),))),
        (
            f"{API}&limit=req,duration=1000,cost=3,limit=0",
            Question("api_1", limits=(LimitClaim("req", 3, 0, 1000),)),
        ),
        (
            f"{API}&limit=one&limit=two",
            Question("api_1", limits=(LimitClaim("one"), LimitClaim("two"))),
        ),
    ],
)
def test_a_question_is_read(query: str, read: Question) -> None:
    assert question_of(query.encode()) == read


@pytest.mark.parametrize(
    "rest", ["", "/path", "/path?cost=0&api=api_2", "&cost=x&nonsense", "%00%ff", "x" * LONGEST_BYTES]
)
def test_nothing_behind_uri_is_read(rest: str) -> None:
    assert question_of(f"{API}&cost=5&uri={rest}".encode()) == Question("api_1", cost=5)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "`api` is missing"),
        ("cost=1", "`api` is missing"),
        ("uri=/x&api=api_1", "`api` is missing"),
        ("api=", "`api` must be the id of an API."),
        ("api=a-b", "`api` must be the id of an API."),
        ("api", "`api` must be the id of an API."),
        (f"{API}&{API}", "`api` is given more than once."),
        (f"{API}&permission=a", "There is no parameter `permission`; there are `api`, `permissions`, `cost`"),
        (f"{API}&Cost=1", "There is no parameter `Cost`"),
        (f"{API}&cost=1&cost=1", "`cost` is given more than once."),
        (f"{API}&cost=", "`cost` must be a whole number from 0 to 1000000000000."),
        (f"{API}&cost=-1", "`cost` must be a whole number"),
        (f"{API}&cost=1.0", "`cost` must be a whole number"),
        (f"{API}&cost=%D9%A1", "`cost` must be a whole number"),
        (f"{API}&cost=1000000000001", "`cost` must be a whole number"),
        (f"{API}&permissions=", "`permissions`: The permission query is empty."),
        (f"{API}&permissions=a+AND", "`permissions`: The query ends at position"),
        (f"{API}&permissions={'a' * 1001}", "`permissions`: The permission query is 1001 characters long"),
        (f"{API}&tag=", "`tag` must be 1 to 512 characters long."),
        (f"{API}&tag={'t' * 513}", "`tag` must be 1 to 512 characters long."),
        (f"{API}{'&tag=t' * 21}", "`tag` is given more than 20 times."),
        (f"{API}{'&limit=req' * 11}", "`limit` is given more than 10 times."),
        (f"{API}&migration=", "`migration` must be 1 to 256 characters long."),
        (f"{API}&migration={'m' * 257}", "`migration` must be 1 to 256 characters long."),
        (f"{API}&limit=", "`limit` must be a limit with a name of 3 to 255 characters."),
        (f"{API}&limit=,cost=1", "`limit` must be a limit with a name of 3 to 255 characters."),
        (f"{API}&limit=req,limit=1", "`limit` must be a limit with both `limit` and `duration`, or with"),
        (f"{API}&limit=req,duration=1000", "`limit` must be a limit with both `limit` and `duration`, or"),
        (
            f"{API}&limit=req,limit=1,duration=999",
            "`limit` must be a limit whose `duration` is a whole number from 1000 to",
        ),
        (f"{API}&limit=req,cost=", "`limit` must be a limit whose `cost` is a whole number from 0 to"),
        (f"{API}&limit=req,cost=x", "`limit` must be a limit whose `cost` is a whole number from 0 to"),
        (f"{API}&limit=req,cost=1,cost=2", "`limit` must be a limit with one `cost`."),
        (f"{API}&limit=req,cost=9007199254740992", "`limit` must be a limit whose `cost` is a whole"),
        (f"{API}&tag=%ff", "The query is not UTF-8 in percent-encoding."),
        (f"{API}&tag=a%00", "The query holds a NUL character."),
        (f"{API}&tag={'%20' * 1400}", f"The query is 4214 bytes long; at most {LONGEST_BYTES} are read."),
    ],
)
def test_a_question_that_cannot_be_read_names_what_is_wrong(query: str, said: str) -> None:
    with pytest.raises(InvalidQuestion) as raised:
        question_of(query.encode())
    assert raised.value.detail.startswith(said)


async def test_a_question_that_cannot_be_read_lets_nobody_pass(proxy: Proxy, make: Make) -> None:
    """Also when the key is missing or good: it is the operator who has to hear of it."""
    key = (await make())["key"]
    for sent in (key, None, "unknown"):
        answer = await proxy.raw(f"api={proxy.api_id}&permisions=a", sent)
        assert answer.status_code == 400
        assert answer.json()["type"].endswith("/user/forward_auth/invalid_query")
        assert "`permisions`" in answer.json()["detail"]
        assert "`permisions`" in answer.headers["x-latchwork-problem"]


async def test_a_client_cannot_change_the_question_through_its_own_address(proxy: Proxy, make: Make) -> None:
    key = (await make(credits={"remaining": 10}))["key"]
    answer = await proxy.raw(f"api={proxy.api_id}&cost=4&uri=/orders?cost=0&api=api_2", key)
    assert answer.headers["x-latchwork-remaining"] == "6"
