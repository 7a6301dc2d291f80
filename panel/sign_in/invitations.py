"""Invitations, as the invited see them: the page behind a link, and those on an account's page; and leaving an organization."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from core.audit import Actor
from core.errors import NotFound, Refused
from core.models import User
from panel.forms import errors
from panel.forms.passwords import PasswordTwice
from panel.sign_in.login import ask_again
from panel.site_mixin import SiteMixin
from servers import invitations, people
from servers.models import Membership

SHOWN = 50


class NewAccountForm(PasswordTwice):
    """The password of a new account."""

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        self.email = email
        super().__init__(*args, **kwargs)
        rules = "At least ten characters; no common password, and not like your e-mail address."
        self.fields["password"].help_text = rules

    def whose(self) -> User:
        return User(username="", email=self.email)


class Invitations(SiteMixin):
    """Mixin of the admin site: the invited."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [
            path("invitations/<token>/", self.invitation, name="invitation"),
            path("account/invitations/", self.admin_view(self.answer_invitation), name="answer_invitation"),
            path("account/memberships/", self.admin_view(self.leave_organization), name="leave_organization"),
        ]
        return [*own, *super().get_urls()]

    @method_decorator(sensitive_post_parameters())
    @method_decorator(never_cache)
    @method_decorator(csrf_protect)
    def invitation(self, request: HttpRequest, token: str) -> HttpResponse:
        """The page behind a link: accept with the account that is signed in, make an account, or decline."""
        context: dict[str, Any] = {**self.each_context(request), "title": "Invitation"}
        request.current_app = self.name
        at, is_in = timezone.now(), self.has_permission(request)
        try:
            found = invitations.of_token(token, at=at)
        except NotFound as refusal:
            context["problem"] = refusal.message
            return TemplateResponse(request, "panel/invitation.html", context, status=404)
        do = request.POST.get("do", "") if request.method == "POST" else ""
        form = NewAccountForm(request.POST if do == "join" else None, email=found.email)
        context |= {"invitation": found, "form": form, "is_in": is_in, "back": urlencode({"next": request.path})}
        try:
            if do == "accept" and is_in:
                user: Any = request.user
                invitations.accept(invitation=found, user=user, at=at, actor=Actor.of_user(user))
                messages.success(request, f"You belong to {found.organization} now.")
                return redirect("admin:index")
            if do == "decline":
                invitations.decline(invitation=found, at=at, actor=Actor.system())
                context["is_declined"] = True
            elif do == "join" and not is_in and form.is_valid():
                joined = invitations.join(
                    invitation=found, password=form.cleaned_data["password"], at=at, actor=Actor.system()
                )
                context["made"] = joined.user.get_username()
        except Refused as refusal:
            context["refusal"] = errors.sentence(refusal.message)
        return TemplateResponse(request, "panel/invitation.html", context)

    def answer_invitation(self, request: HttpRequest) -> HttpResponse:
        """Accept or decline an invitation to the own username."""
        if request.method != "POST":
            return redirect("admin:account")
        user: Any = request.user
        at, actor = timezone.now(), Actor.of_user(user)
        wanted = _chosen(invitations.of(user, at=at), request, "pk", "invitation")
        if wanted is None:
            messages.error(request, f"{invitations.GONE}.")
            return redirect("admin:account")
        try:
            if request.POST.get("do") == "accept":
                invitations.accept(invitation=wanted, user=user, at=at, actor=actor)
                messages.success(request, f"You belong to {wanted.organization} now.")
            else:
                invitations.decline(invitation=wanted, at=at, actor=actor, user=user)
                messages.success(request, f"You have declined the invitation of {wanted.organization}.")
        except Refused as refusal:
            messages.error(request, f"{errors.sentence(refusal.message)}.")
        return redirect("admin:account")

    def leave_organization(self, request: HttpRequest) -> HttpResponse:
        """Leave an organization; open to whoever has yet to set up a second factor, which it may be that demands it."""
        if request.method == "POST":
            user: Any = request.user
            held = Membership.objects.filter(user=user).select_related("organization", "user")
            wanted = _chosen(held, request, "organization_id", "organization")
            try:
                if wanted is None:
                    raise NotFound("The organization could not be found")
                people.remove_person(membership=wanted, actor=Actor.of_user(user))
                ask_again(request)
                messages.success(request, f"You no longer belong to {wanted.organization}.")
            except Refused as refusal:
                messages.error(request, f"{errors.sentence(refusal.message)}.")
        return redirect("admin:second_factor" if self.must_set_up(request) else "admin:account")


def account_context(user: User) -> dict[str, Any]:
    """Return what the page of the own account shows of organizations."""
    held = Membership.objects.filter(user=user).select_related("organization").order_by("organization__name_key")
    return {
        "invitations": list(invitations.of(user, at=timezone.now())[:SHOWN]),
        "memberships": list(held[:SHOWN]),
    }


def _chosen(rows: Iterable[Any], request: HttpRequest, attribute: str, name: str) -> Any:
    """Return the row that the form names, of those that are the person's."""
    return next((each for each in rows if str(getattr(each, attribute)) == request.POST.get(name)), None)
