"""What is wrong with a question before anybody looks at the key, or with the key before it is looked up."""

from latchwork.kernel.faults import BadRequest, Forbidden, Unauthorized


class WrongToken(Forbidden):
    """The proxy did not bring the token that `LATCHWORK_FORWARD_AUTH__TOKEN` asks for."""

    code = "user/forward_auth/wrong_token"
    default_detail = (
        "The proxy must send the token of LATCHWORK_FORWARD_AUTH__TOKEN, once, in X-Forward-Auth-Token."
    )


class InvalidQuestion(BadRequest):
    """The query of the question cannot be read; the detail names the parameter."""

    code = "user/forward_auth/invalid_query"


class NoKey(Unauthorized):
    """The client sent no key where one is looked for."""

    code = "user/authentication/key_missing"


class UnknownKey(Unauthorized):
    """No key of the named API has this text; the same when there is no such API."""

    default_detail = "The key is not valid here."
