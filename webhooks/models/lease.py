from django.db import models


class Lease(models.Model):
    """That one worker, and no other, calls a host, or holds one of the places for workers; until a time.

    A worker that is killed renews nothing, and another takes its place when the time is over.
    """

    name = models.CharField(max_length=300, primary_key=True)
    # Whose it is: a random text of the worker's run.
    holder = models.CharField(max_length=32)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
