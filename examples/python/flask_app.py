"""Flask: a decorator on each view that needs a key."""

import os

from flask import Flask, g

from latchwork.client import Latchwork
from latchwork.client.flask import KeyGuard

latchwork = Latchwork(os.environ["URL"], os.environ["ROOT_KEY"])
guard = KeyGuard(latchwork, when_unavailable="refuse")
app = Flask(__name__)


@app.get("/reports")
@guard.required(permissions="reports.read", cost=5)
def reports() -> dict[str, str]:
    """A report, for 5 credits."""
    key = g.latchwork
    return {"report": "all is well", "for": key.identity.external_id if key.identity else key.key_id}
