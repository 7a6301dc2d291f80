"""Calls a function from within another network namespace."""

import os
import threading
from collections.abc import Callable

CLONE_NEWNET = 0x40000000


def inside[Answer](namespace: str, function: Callable[[], Answer]) -> Answer:
    """Call a function in a thread that is in the namespace of this file (`/proc/PID/ns/net`), and return what it returns."""
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            with open(namespace) as file:
                os.setns(file.fileno(), CLONE_NEWNET)
            answers.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]
