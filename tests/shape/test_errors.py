"""The reference of errors has every code that anything here can answer with."""

import subprocess
import sys

_SCRIPT = """
import importlib, pkgutil
import latchwork
from latchwork.compose.errors import error_kinds
from latchwork.compose.surfaces import ADMISSION_FAULTS, FAMILIES

def codes():
    return {kind.code for kind in error_kinds(FAMILIES, ADMISSION_FAULTS)}

served = codes()
for module in pkgutil.walk_packages(latchwork.__path__, "latchwork."):
    if ".sql.migrations" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(sorted(codes() - served))
"""


def test_every_fault_that_is_declared_anywhere_has_its_page() -> None:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
