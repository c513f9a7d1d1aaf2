"""Load from wrk on the load's core: POST bodies in rotation, bounded in time and in count."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import BenchError, cores

_SLACK_S = 30
_SCRIPT = """
local bodies = {}
for line in io.lines(%(bodies)s) do bodies[#bodies + 1] = line end
local head = %(head)s
local heads, turn, left = {}, 0, %(most)d

local function head_for(length)
  local made = heads[length]
  if not made then
    made = head .. "Content-Length: " .. length .. "\\r\\n\\r\\n"
    heads[length] = made
  end
  return made
end

function request()
  turn = turn %% #bodies + 1
  left = left - 1
  if left < 0 then wrk.thread:stop() end
  local body = bodies[turn]
  return head_for(#body) .. body
end
%(sleepless)s
%(pace)s
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests":%%d,"seconds":%%.6f,"refused":%%d,"broken":%%d,' ..
    '"mean_ms":%%.4f,"p50_ms":%%.4f,"p95_ms":%%.4f,"p99_ms":%%.4f,"max_ms":%%.4f}\\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency.mean / 1e3, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3))
end
"""
# A load generator that sleeps between answers has to be woken by the server, which on a virtual machine costs
# the server several microseconds with nearly every answer; one that outpaces its load generator never pays
# that, so the comparison would be of sleeping habits. This one never sleeps: beside its connections it watches
# a file that is always ready and that nobody handles (it says that it were file 0, which has no handler).
_SLEEPLESS = """
local ffi = require("ffi")
ffi.cdef[[
  struct lw_epoll { uint32_t events; uint64_t file; } __attribute__((packed));
  int epoll_ctl(int, int, int, struct lw_epoll *);
  int eventfd(unsigned int, int);
  long readlink(const char *, char *, size_t);
]]
function init(args)
  local name = ffi.new("char[64]")
  for file = 3, 63 do
    local length = ffi.C.readlink("/proc/self/fd/" .. file, name, 64)
    if length > 0 and ffi.string(name, length) == "anon_inode:[eventpoll]" then
      local always = ffi.new("struct lw_epoll", { 1, 0 })
      if ffi.C.epoll_ctl(file, 1, ffi.C.eventfd(1, 0), always) ~= 0 then error("epoll_ctl failed") end
      return
    end
  end
  error("no event loop found")
end
"""
# Requests are due at even intervals; a connection that is free takes the next one that is due.
_PACE = """
local ffi = require("ffi")
ffi.cdef("struct lw_time { long s; long ns; }; int clock_gettime(int, struct lw_time *);")
local now = ffi.new("struct lw_time")
local due
function delay()
  ffi.C.clock_gettime(1, now)
  local ms = tonumber(now.s) * 1e3 + tonumber(now.ns) / 1e6
  due = (due or ms) + %(interval_ms).9f
  return math.max(0, math.floor(due - ms + 0.5))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: `bodies` in rotation to `path`, over `connections`, as fast as answers come.

    With `rate` no more than that many a second are begun. `most` bounds the requests of one run.
    """

    path: str
    bodies: Sequence[str]
    headers: tuple[tuple[str, str], ...] = ()
    connections: int = 64
    rate: float | None = None
    most: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """What came back of one run. `refused` are statuses of 400 and above, `broken` lost connections."""

    requests: int
    seconds: float
    refused: int
    broken: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def send(port: int, load: Load, seconds: int) -> Sent:
    """Run `load` against a loopback port; raises `BenchError` unless every answer was a success."""
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not installed (Debian: apt-get install wrk)")
    with tempfile.TemporaryDirectory(prefix="latchwork-load-") as folder:
        bodies, lua = Path(folder, "bodies"), Path(folder, "load.lua")
        bodies.write_text("\n".join(load.bodies) + "\n")
        lua.write_text(script(load, port, bodies))
        core = cores()[1]
        ran = subprocess.run(
            [
                *("taskset", "-c", str(core)),
                *("wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s"),
                *("-s", str(lua), f"http://127.0.0.1:{port}"),
            ],
            capture_output=True,
            text=True,
            timeout=seconds + _SLACK_S,
            check=False,
        )
    return _parse(ran.stdout, ran.stderr)


def script(load: Load, port: int, bodies: Path) -> str:
    """The Lua that has wrk send `load`, reading the bodies from a file, one a line."""
    headers = (("Host", f"127.0.0.1:{port}"), ("Content-Type", "application/json"), *load.headers)
    head = f"POST {load.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
    pace = _PACE % {"interval_ms": 1000 / load.rate} if load.rate else ""
    # A JSON string is a Lua string, as long as it holds nothing but ASCII.
    values = {
        "bodies": json.dumps(str(bodies)),
        "head": json.dumps(head),
        "most": load.most,
        "pace": pace,
        "sleepless": _SLEEPLESS,
    }
    return _SCRIPT % (values | {"sleepless": _SLEEPLESS})


def _parse(output: str, errors: str) -> Sent:
    try:
        sent = Sent(**json.loads(output.strip().splitlines()[-1]))
    except (IndexError, ValueError, TypeError) as error:
        raise BenchError(f"wrk failed: {output[-500:]} {errors[-500:]}") from error
    if not sent.requests or sent.refused or sent.broken:
        raise BenchError(f"not every answer was a success: {sent}")
    return sent
