"""What a success looks like."""

import json

from latchwork.surfaces.http.security import SECURITY_HEADERS
from latchwork.surfaces.rpc.application import RpcApplication
from tests.surfaces.rpc.plumbing.things import NOW_MS, World


async def test_a_success_has_meta_and_data_and_nothing_else(world: World) -> None:
    answer = await world.post("make", {"name": "lamp"})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "meta": {"requestId": answer.headers["x-request-id"]},
        "data": {"id": "thing_1", "madeAt": NOW_MS},
    }


async def test_every_body_starts_with_the_request_id(world: World) -> None:
    for answer in (await world.post("make", {"name": "lamp"}), await world.post("nothing", {})):
        assert answer.content.startswith(b'{"meta":{"requestId":"req_')
        assert answer.content[22:35].decode() == answer.headers["x-request-id"]


async def test_every_answer_carries_the_security_headers(world: World) -> None:
    for answer in (await world.post("make", {"name": "lamp"}), await world.post("make", b"{")):
        assert {name.decode(): value.decode() for name, value in SECURITY_HEADERS}.items() <= dict(
            answer.headers
        ).items()


async def test_a_page_that_is_not_the_last_says_where_the_next_begins(world: World) -> None:
    first = (await world.post("list", {})).json()
    last = (await world.post("list", {"cursor": first["pagination"]["cursor"]})).json()

    assert first["pagination"] == {"hasMore": True, "cursor": "thing_2"}
    assert first["data"] == [{"id": "thing_1", "madeAt": 1, "tags": ["a"]}]
    assert last["pagination"] == {"hasMore": False}


async def test_a_procedure_without_data_answers_only_meta(world: World) -> None:
    answer = await world.post("forget", {"thingId": "thing_1"})
    assert list(answer.json()) == ["meta"]


async def test_nothing_to_tell_is_an_empty_object(world: World) -> None:
    assert (await world.post("rename", {"thingId": "thing_1"})).json()["data"] == {}


async def test_a_procedure_may_answer_with_another_status_and_more_headers(world: World) -> None:
    answer = await world.post("status")
    assert (answer.status_code, answer.headers["pragma"]) == (202, "no-cache")


async def test_an_array_is_a_body_like_any_other(world: World) -> None:
    answer = await world.post("makeMany", [{"name": "lamp"}, {"name": "chair"}])
    assert [thing["id"] for thing in answer.json()["data"]] == ["thing_0", "thing_1"]


async def test_a_rendered_answer_is_sent_as_it_is(world: World) -> None:
    rendered = await world.post("raw", {"thingId": "t", "permanent": True})
    whole = await world.post("raw", {"thingId": "t"})

    assert (rendered.status_code, rendered.json()["data"]) == (200, {"id": "t", "madeAt": 1})
    assert whole.status_code == 207
    assert rendered.headers["x-request-id"] == rendered.json()["meta"]["requestId"]


async def test_liveness_needs_no_key_and_answers_to_get_and_head(world: World) -> None:
    alive = await world.client.get("/v2/liveness")
    head = await world.client.head("/v2/liveness")

    assert alive.status_code == 200
    assert isinstance(alive.json()["data"]["message"], str)
    assert (head.status_code, head.content, head.headers["content-length"]) == (
        200,
        b"",
        alive.headers["content-length"],
    )


async def test_an_open_procedure_takes_a_body_without_a_key(world: World) -> None:
    answer = await world.client.post("/v2/things.open", content=b'{"name":"ann"}')
    assert answer.status_code == 200
    assert world.order == []
    assert world.shelf.made[0].name == "ann"


async def test_hot_handlers_are_made_of_the_platform_and_listed_by_path(world: World) -> None:
    assert list(world.app.hot) == ["/v2/things.raw"]
    assert world.app.hot["/v2/things.raw"](b"", b"", "") is None


async def test_the_application_knows_its_paths_and_methods(world: World) -> None:
    assert world.app.paths["/v2/things.remove"] == ("POST", "DELETE", "PUT")
    assert world.app.paths["/v2/liveness"] == ("GET",)


async def test_every_request_is_recorded_by_the_path_of_its_procedure(world: World) -> None:
    await world.post("make", {"name": "lamp"})
    await world.post("nothing", {})
    await world.client.get("/v2/things.make")

    assert world.records == [("/v2/things.make", 200), ("", 404), ("", 405)]


async def test_nobody_has_to_record_anything() -> None:
    world = World()
    quiet = RpcApplication([], None, authenticate=world._authenticate, clock=world.clock)
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    scope: dict[str, object] = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None}
    await quiet(scope, receive, send)
    assert sent[0]["status"] == 404
    assert json.loads(sent[1]["body"])["error"]["status"] == 404  # type: ignore[arg-type]


async def test_websockets_are_hung_up_and_lifespans_left_alone(world: World) -> None:
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    await world.app({"type": "websocket", "path": "/v2/liveness"}, receive, send)
    await world.app({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
