"""What callers of credits may be told."""

from latchwork.kernel.faults import NotFound, PreconditionFailed


class HoldNotFound(NotFound):
    """No such hold in this workspace, or it has been settled or has returned by itself."""

    code = "unkey/data/reservation_not_found"
    default_detail = "The requested reservation does not exist, has been settled, or has expired."


class TooFewCredits(PreconditionFailed):
    """The balance does not cover what was to be held; nothing was changed."""

    default_detail = "There are not enough credits left for this reservation."
