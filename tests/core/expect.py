"""What the core tests need of pytest, in the Python that both interpreters speak."""


def raises(kind, call, *args):
    """Return the error that call(*args) raises; fail if it raises none, or one of another kind."""
    try:
        call(*args)
    except Exception as e:
        assert isinstance(e, kind), "raised %r, not %s" % (e, kind.__name__)
        return e
    raise AssertionError("raised nothing, not " + kind.__name__)
