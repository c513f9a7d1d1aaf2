"""`python -m benchmarks [s01 s02 …]`: measure, print the figures beside their goals, keep them."""

import http.client
import importlib
import pkgutil
import sys
import time
from types import ModuleType

import benchmarks
from benchmarks.figures import Figure, keep, show
from benchmarks.harness import BenchError

LONGEST_S = 600


def main(asked: list[str]) -> int:
    """Run the benchmarks asked for, all by default; 0 when each could be measured, however it came out."""
    started = time.time()
    found: list[Figure] = []
    failed = 0
    for module in _chosen(asked):
        began = time.monotonic()
        if time.time() - started > LONGEST_S:
            print(f"{_name(module)}: left out, ten minutes are over", file=sys.stderr)
            failed += 1
            continue
        try:
            figures = list(module.run())
        except (BenchError, OSError, http.client.HTTPException) as error:
            print(f"{_name(module)}: {error}", file=sys.stderr)
            failed += 1
            continue
        keep(figures, started)
        found += figures
        print(f"{_name(module)}: measured in {time.monotonic() - began:.0f} s", file=sys.stderr)
    show(found)
    return 1 if failed else 0


def _chosen(asked: list[str]) -> list[ModuleType]:
    names = [
        m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[0] in "rs" and m.name[1].isdigit()
    ]
    unknown = [a for a in asked if not any(name.startswith(a) for name in names)]
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(names)}")
    wanted = [name for name in names if not asked or any(name.startswith(a) for a in asked)]
    return [importlib.import_module(f"benchmarks.{name}") for name in wanted]


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
