"""Sign-in by an OpenID provider beside passwords, where SLUICE_OIDC_ISSUER names one. The second factor is the provider's.

An account belongs to a person of the provider by issuer and subject alone: people link their account on its page, with the
password, or get a new one. An e-mail address or a user name that is the same links nothing.
"""

import datetime
import importlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import structlog
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME, login
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from unfold.widgets import UnfoldAdminPasswordWidget

from core import identities
from core.audit import Actor
from core.clients import client_address
from core.errors import Refused
from core.models import Identity, User
from core.provided_roles import rules_of
from panel.sign_in.account import NOT_YOURS, is_own_password
from panel.sign_in.login import BACKEND, BY_PROVIDER, safe_next
from panel.site_mixin import SiteMixin
from servers import provided_roles

logger = structlog.get_logger(__name__)

# Who gave the password to link the account has so long to come back from the provider.
LINK_WITHIN = datetime.timedelta(minutes=10)
# What Authlib keeps of each sign-in that is begun, by the name of our client.
_BEGUN = "_state_oidc_"
_FLOW, _MAY_LINK_UNTIL = "sign_in.flow", "sign_in.may_link_until"


def is_on() -> bool:
    """Whether people can sign in by a provider."""
    return bool(settings.SLUICE_OIDC_ISSUER)


def _provider() -> Any:
    """Return the module that speaks to it. It loads Authlib, an extra that nobody without a provider needs."""
    return importlib.import_module("panel.sign_in.provider")


class PasswordForm(forms.Form):
    """The password of the account: whoever has a stolen session must not sign in by their own account at the provider."""

    current_password = forms.CharField(
        strip=False, widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"})
    )

    def __init__(self, *args: Any, user: User, address: str, **kwargs: Any) -> None:
        self.user, self.address = user, address
        super().__init__(*args, **kwargs)

    def clean_current_password(self) -> str:
        given: str = self.cleaned_data["current_password"]
        if not is_own_password(self.user, given, self.address):
            raise forms.ValidationError(NOT_YOURS)
        return given


class SingleSignOn(SiteMixin):
    """Mixin of the admin site: sign-in by a provider."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [
            path("login/sso/", self.single_sign_on, name="single_sign_on"),
            path("login/sso/callback/", self.single_sign_on_callback, name="single_sign_on_callback"),
            path("account/single-sign-on/", self.admin_view(self.linking), name="linking"),
        ]
        return [*own, *super().get_urls()]

    def provider_offer(self, request: HttpRequest) -> dict[str, str] | None:
        """Return the button of the sign-in page, None without a provider."""
        if not is_on():
            return None
        asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
        address = f"{reverse('admin:single_sign_on')}?{urlencode({REDIRECT_FIELD_NAME: asked})}"
        return {"name": settings.SLUICE_OIDC_NAME, "url": address}

    def linking(self, request: HttpRequest) -> HttpResponse:
        """Link the own account to the provider, or end the link; both take the password."""
        user: Any = request.user
        if not is_on() or not user.has_usable_password():
            return redirect("admin:account")
        identity = Identity.objects.filter(user=user).order_by("pk").first()
        form = PasswordForm(request.POST or None, user=user, address=client_address(request))
        address = ""
        if request.method == "POST" and form.is_valid():
            if identity is not None:
                identities.unlink(identity=identity, actor=Actor.of_user(user))
                messages.success(request, f"You sign in without {settings.SLUICE_OIDC_NAME} from now on.")
                return redirect("admin:account")
            request.session[_MAY_LINK_UNTIL] = (timezone.now() + LINK_WITHIN).timestamp()
            # A link for the person to follow: the pages' policy lets no form lead to another site.
            address = f"{reverse('admin:single_sign_on')}?link=1"
        context = {
            **self.each_context(request),
            "title": "Single sign-on",
            "provider": settings.SLUICE_OIDC_NAME,
            "identity": identity,
            "form": form,
            "address": address,
        }
        request.current_app = self.name
        return TemplateResponse(request, "panel/single_sign_on.html", context)

    @method_decorator(never_cache)
    def single_sign_on(self, request: HttpRequest) -> HttpResponse:
        """Send the browser to the provider, to sign in or (`?link=1`) to link the account that is signed in."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not is_on():
            return redirect("admin:login")
        provider = _provider()
        flow: dict[str, Any] = {"next": request.GET.get(REDIRECT_FIELD_NAME, "")}
        if "link" in request.GET:
            if not self.has_permission(request) or not _may_link(request):
                return redirect("admin:account")
            flow = {"link": request.user.pk}
        _forget_earlier(request)
        try:
            response = provider.begin(request, request.build_absolute_uri(reverse("admin:single_sign_on_callback")))
        except provider.ProviderFault as fault:
            return _failed(request, fault)
        flow["state"] = parse_qs(urlsplit(response["Location"]).query)["state"][0]
        request.session[_FLOW] = flow
        if not request.user.is_authenticated:
            # Anybody can begin: of those who do not come back, nothing stays for weeks.
            request.session.set_expiry(LINK_WITHIN)
        return response

    @method_decorator(never_cache)
    def single_sign_on_callback(self, request: HttpRequest) -> HttpResponse:
        """Take whom the provider sends back: with the state of this session, once."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        flow = request.session.pop(_FLOW, None)
        if not is_on() or not flow:
            return redirect("admin:login")
        provider = _provider()
        try:
            if flow["state"] != request.GET.get("state"):
                raise provider.ProviderFault("The state is not that of this session")
            person = provider.finish(request)
        except provider.ProviderFault as fault:
            return _failed(request, fault)
        return self._link(request, person) if "link" in flow else _enter(request, person, flow["next"])

    def _link(self, request: HttpRequest, person: provided_roles.Person) -> HttpResponse:
        user: Any = request.user
        # The session may have ended, or begun for another person, meanwhile.
        if not self.has_permission(request) or not _may_link(request):
            return redirect("admin:account")
        del request.session[_MAY_LINK_UNTIL]
        try:
            identities.link(user=user, issuer=person.issuer, subject=person.subject, actor=Actor.of_user(user))
        except Refused as refusal:
            messages.error(request, f"{refusal.message}.")
        else:
            messages.success(request, f"You can sign in by {settings.SLUICE_OIDC_NAME} from now on.")
        return redirect("admin:account")


def _forget_earlier(request: HttpRequest) -> None:
    """Forget sign-ins of this session that were begun and not finished: each would stay in it for an hour."""
    for name in [each for each in request.session.keys() if each.startswith(_BEGUN)]:  # noqa: SIM118 - no mapping
        del request.session[name]


def _may_link(request: HttpRequest) -> bool:
    return bool(request.session.get(_MAY_LINK_UNTIL, 0) >= timezone.now().timestamp())


def _enter(request: HttpRequest, person: provided_roles.Person, after: str) -> HttpResponse:
    try:
        rules = rules_of(settings.SLUICE_OIDC_ROLES)
        user = provided_roles.admit(person, rules=rules, at=timezone.now(), actor=Actor.system())
    except Refused as refusal:
        logger.warning("single_sign_on_refused", issuer=person.issuer, subject=person.subject, reason=refusal.message)
        messages.error(request, f"{refusal.message}.")
        return redirect("admin:login")
    login(request, user, backend=BACKEND)
    request.session[BY_PROVIDER] = person.issuer
    # The provider is asked again after so long: whoever left has no access any longer.
    request.session.set_expiry(datetime.timedelta(hours=settings.SLUICE_OIDC_SESSION_HOURS))
    return HttpResponseRedirect(safe_next(request, after))


def _failed(request: HttpRequest, fault: Exception) -> HttpResponse:
    logger.warning("single_sign_on_failed", reason=str(fault))
    messages.error(
        request, f"Signing in by {settings.SLUICE_OIDC_NAME} did not succeed. Try again, or use your password."
    )
    return redirect("admin:login")
