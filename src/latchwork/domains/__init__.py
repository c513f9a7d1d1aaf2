"""One package per noun; each knows no framework and no driver."""
