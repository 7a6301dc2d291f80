"""What the tables of core refuse."""

from core.models import Identity, Job, SavedFilter, SetAside, User
from tests.factories import A_MOMENT, ApiTokenFactory, AuditEntryFactory, JobFactory, UserFactory
from tests.refusals import Refusals

refusals = Refusals("core")


@refusals.by("core.User.username")
def _():
    UserFactory(username="ann")
    UserFactory(username="ann")


@refusals.by("core_user_api_level")
def _():
    UserFactory()
    User.objects.update(api_level="some")


@refusals.by("core.ApiToken.key_digest")
def _():
    ApiTokenFactory(key_digest="d" * 64)
    ApiTokenFactory(key_digest="d" * 64)


@refusals.by("core_apitoken_name_not_empty")
def _():
    ApiTokenFactory(name="")


@refusals.by("core_identity_unique")
def _():
    for user in (UserFactory(), UserFactory()):
        Identity.objects.create(user=user, issuer="https://login.example", subject="1")


@refusals.by("core_identity_one_an_issuer")
def _():
    user = UserFactory()
    for subject in "12":
        Identity.objects.create(user=user, issuer="https://login.example", subject=subject)


@refusals.by("core_identity_names_not_empty")
def _():
    Identity.objects.create(user=UserFactory(), issuer="https://login.example", subject="")


@refusals.by("core_auditentry_actor_kind")
def _():
    AuditEntryFactory(actor_kind="ghost")


@refusals.by("core_job_state")
def _():
    # Past the end's constraint, which knows the four states too.
    JobFactory(state="paused")


@refusals.by("core_job_finished")
def _():
    JobFactory(state="done", finished_at=A_MOMENT)
    Job.objects.update(state="waiting")


@refusals.by("core_job_progress")
def _():
    JobFactory(progress_done=2, progress_total=1)


@refusals.by("core_setaside_one_each")
def _():
    for _ in range(2):
        SetAside.objects.create(
            audience="platform", key="k", label="x", is_hidden=True, until=A_MOMENT, by_label="ann"
        )  # fmt: skip


def make_filter(name: str) -> None:
    user = User.objects.first() or UserFactory()
    SavedFilter.objects.create(user=user, page="servers.server", name=name, query="q=x")


@refusals.by("core_savedfilter_name")
def _():
    make_filter("Mine")
    make_filter("Mine")


@refusals.by("core_savedfilter_named")
def _():
    make_filter("")


test_the_database_refuses = refusals.as_test()
