"""Django in one file: a decorator on each view that needs a key."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from latchwork.client import Latchwork
from latchwork.client.django import KeyGuard

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.urandom(32).hex(),
)

latchwork = Latchwork(os.environ["URL"], os.environ["ROOT_KEY"])
guard = KeyGuard(latchwork, when_unavailable="refuse")


@guard.required(permissions="reports.read", cost=5)
def reports(request: HttpRequest) -> JsonResponse:
    """A report, for 5 credits."""
    key = request.latchwork
    return JsonResponse(
        {"report": "all is well", "for": key.identity.external_id if key.identity else key.key_id}
    )


urlpatterns = [path("reports", reports)]
app = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
