"""FastAPI: every route says what a key must satisfy."""

import os
from typing import Annotated

from fastapi import Depends, FastAPI

from latchwork.client import AsyncLatchwork, Verification
from latchwork.client.fastapi import KeyGuard

latchwork = AsyncLatchwork(os.environ["URL"], os.environ["ROOT_KEY"])
guard = KeyGuard(latchwork, when_unavailable="refuse")
app = FastAPI(title="Reports")


@app.get("/reports")
async def reports(
    key: Annotated[Verification, Depends(guard(permissions="reports.read", cost=5))],
) -> dict[str, str]:
    """A report, for 5 credits."""
    return {"report": "all is well", "for": key.identity.external_id if key.identity else key.key_id}
