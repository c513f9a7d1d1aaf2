"""What the surfaces share: request ids, client addresses, body limits, security headers, the hot contract."""
