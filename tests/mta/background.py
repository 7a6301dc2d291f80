"""Something that goes on beside a test, as mail that is submitted all the time."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beside(act: Callable[[threading.Event], None], seconds: float = 20) -> Iterator[None]:
    """Run an act in a thread: it ends once its event is set, and is waited for so many seconds."""
    is_over = threading.Event()
    thread = threading.Thread(target=act, args=(is_over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(seconds)
