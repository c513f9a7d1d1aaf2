"""Makes an API and a key with three credits, and uses the key up."""

import os

from latchwork.client import Latchwork

with Latchwork(os.environ["URL"], os.environ["ROOT_KEY"]) as latchwork:
    api = latchwork.create_api("from a script")
    made = latchwork.create_key(api.api_id, name="three times", remaining=3)
    for _ in range(4):
        verdict = latchwork.verify_key(made.key)
        print(verdict.code, verdict.credits)
    print(latchwork.explain_key(made.key).remedies[0])
    latchwork.delete_key(made.key_id)
