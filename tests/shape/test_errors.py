"""The reference of errors has every code that anything here can answer with."""

import subprocess
import sys

from tests.shape.tree import ROOT

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


def test_the_written_reference_is_the_one_that_the_faults_give() -> None:
    made = [sys.executable, str(ROOT / "scripts" / "errors_reference.py")]
    printed = subprocess.run(made, capture_output=True, text=True, check=True).stdout
    written = (ROOT / "docs" / "reference" / "errors.md").read_text()
    assert written == printed, "run: .venv/bin/python scripts/errors_reference.py > docs/reference/errors.md"
