"""Settings become a platform here: the only code that knows every part."""
