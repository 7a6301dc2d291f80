"""Sign-in: password, then the second factor where it is set up; guessing clients are locked out.

Failures are counted by core.lockout, as those of HTTP Basic are: one limit for all.
"""

import datetime
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME, login
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django_otp import login as note_second_factor
from redis.exceptions import RedisError
from unfold import widgets
from unfold.forms import AuthenticationForm

from core import lockout, password_checks, second_factor
from core.clients import client_address
from core.lockout import LockedOut, Secret
from core.models import User
from core.password_checks import TooManyPasswords
from panel.site_mixin import SiteMixin
from servers.required_factors import Standing, standing_of

# Of a form whose session ended while it was filled in.
NOT_SAVED = (
    "You were no longer signed in, so what you sent was not saved. Sign in, and send it again from the page before."
)

BACKEND = "django.contrib.auth.backends.ModelBackend"
# Who gave the right password has so long to give the code.
CODE_WITHIN = datetime.timedelta(minutes=10)
_PENDING = "sign_in.pending"
_STANDING = "_sluice_second_factor"
# The issuer, in sessions that an OpenID provider began: it asked for what it wants as a second factor.
BY_PROVIDER = "sign_in.by_provider"
LOCKED_OUT = f"{LockedOut.default_message}."
OUT_OF_ORDER = "Signing in is unavailable because the cache cannot be reached. Try again in a moment."
WRONG_CODE = "The code is not the current one. Wait for the next code, or use a recovery code."


class PasswordForm(AuthenticationForm):
    """Name and password; refused without checking while the client is locked out."""

    error_messages: ClassVar[dict[str, Any]] = {
        "invalid_login": "No account that may use the panel has this username and password. Both are case-sensitive.",
        "inactive": "No account that may use the panel has this username and password. Both are case-sensitive.",
    }

    def clean(self) -> dict[str, Any]:
        username, address = self.cleaned_data.get("username"), client_address(self.request)
        if not username or not self.cleaned_data.get("password"):
            return super().clean()
        refusal: forms.ValidationError | None = None

        def look() -> dict[str, Any] | None:
            nonlocal refusal
            try:
                with password_checks.in_turn(address):
                    return super(PasswordForm, self).clean()
            except forms.ValidationError as error:
                refusal = error
                return None

        try:
            cleaned = lockout.guess(Secret.PASSWORD, username=username, address=address, look=look)
        except LockedOut:
            raise forms.ValidationError(LOCKED_OUT, code="locked_out") from None
        except TooManyPasswords as problem:
            raise forms.ValidationError(f"{problem}.", code="busy") from None
        except (RedisError, OSError):
            # Without the counts of failures no password is looked at.
            raise forms.ValidationError(OUT_OF_ORDER, code="out_of_order") from None
        if refusal is not None:
            raise refusal
        return cleaned or self.cleaned_data


class CodeForm(forms.Form):
    """The code of the app, or a recovery code."""

    code = forms.CharField(
        label="Code",
        max_length=32,
        widget=widgets.UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": "", "spellcheck": "false"}
        ),
    )


class PasswordView(LoginView):
    """The first page; users with a second factor continue to the second."""

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        if second_factor.is_set_up(user):
            self.request.session[_PENDING] = {
                "user": user.pk,
                # A password that is changed meanwhile ends this, too.
                "hash": user.get_session_auth_hash(),
                "until": (timezone.now() + CODE_WITHIN).timestamp(),
                "next": self.get_success_url(),
            }
            return redirect("admin:login_code")
        as_long_as_usual(self.request)
        return super().form_valid(form)


class SignIn(SiteMixin):
    """Mixin of the admin site: sign-in."""

    login_form = PasswordForm

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [path("login/code/", self.login_code, name="login_code")]
        return [*own, *super().get_urls()]

    def has_permission(self, request: HttpRequest) -> bool:
        """Users with a second factor need it in every session, whatever its origin; others may have to set one up first."""
        if not super().has_permission(request):
            return False
        standing = _standing(request)
        return standing is None or not (standing.is_set_up or standing.is_required)

    def must_set_up(self, request: HttpRequest) -> bool:
        """Whether the user is signed in, but an organization of theirs requires a second factor, which they lack."""
        if not super().has_permission(request):
            return False
        standing = _standing(request)
        return standing is not None and standing.is_required and not standing.is_set_up

    def admin_view(self, view: Any, cacheable: bool = False) -> Callable[..., Any]:  # noqa: FBT001, FBT002 - Django's signature
        """A page of the panel; whoever must set up a second factor is led there from everywhere."""
        usual = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method == "POST" and view != self.logout and not request.user.is_authenticated:
                messages.warning(request, NOT_SAVED)
            if not self.must_set_up(request):
                return usual(request, *args, **kwargs)
            if view in (self.second_factor, self.logout, self.leave_organization):
                return never_cache(csrf_protect(view))(request, *args, **kwargs)
            return redirect("admin:second_factor")

        return update_wrapper(guarded, usual)

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """The page for name and password."""
        if request.method == "GET" and (self.has_permission(request) or self.must_set_up(request)):
            return HttpResponseRedirect(reverse("admin:index", current_app=self.name))
        context = {**self.each_context(request), "title": "Sign in", "app_path": request.get_full_path()}
        if REDIRECT_FIELD_NAME not in request.GET and REDIRECT_FIELD_NAME not in request.POST:
            context[REDIRECT_FIELD_NAME] = reverse("admin:index", current_app=self.name)
        context["provider"] = self.provider_offer(request)
        context.update(extra_context or {})
        request.current_app = self.name
        view = PasswordView.as_view(
            extra_context=context, authentication_form=self.login_form, template_name="panel/login.html"
        )
        return view(request)

    @method_decorator(sensitive_post_parameters())
    @method_decorator(never_cache)
    @method_decorator(csrf_protect)
    def login_code(self, request: HttpRequest) -> HttpResponse:
        """The page for the code, after the correct password."""
        user = _pending_user(request)
        if user is None:
            request.session.pop(_PENDING, None)
            return redirect("admin:login")
        form = CodeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            problem = _try_code(request, user, form.cleaned_data["code"])
            if problem is None:
                return HttpResponseRedirect(safe_next(request, request.session.pop(_PENDING)["next"]))
            form.add_error("code", problem)
        context = {**self.each_context(request), "title": "Second factor", "form": form}
        request.current_app = self.name
        return TemplateResponse(request, "panel/login_code.html", context)


def _try_code(request: HttpRequest, user: User, code: str) -> str | None:
    """Sign the user in if the code is correct; otherwise return the error."""
    username, address = user.get_username(), client_address(request)
    try:
        device = lockout.guess(
            Secret.CODE, username=username, address=address, look=lambda: second_factor.verify(user, code)
        )
    except LockedOut:
        return LOCKED_OUT
    except (RedisError, OSError):
        return OUT_OF_ORDER
    if device is None:
        return WRONG_CODE
    pending = request.session[_PENDING]
    as_long_as_usual(request)
    login(request, user, backend=BACKEND)
    note_second_factor(request, device)
    # Signing in may have begun a new session.
    request.session[_PENDING] = pending
    return None


def _pending_user(request: HttpRequest) -> User | None:
    pending = request.session.get(_PENDING)
    if not pending or pending["until"] < timezone.now().timestamp():
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True).first()
    if user is None or not constant_time_compare(pending["hash"], user.get_session_auth_hash()):
        return None
    return user


def as_long_as_usual(request: HttpRequest) -> None:
    """Let the session that begins end when others do: one in which a sign-in by a provider was begun is a short one."""
    request.session.set_expiry(None)


def safe_next(request: HttpRequest, target: str) -> str:
    """Return the page to go on to: one of this site."""
    is_safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if is_safe else reverse("admin:index")


def ask_again(request: HttpRequest) -> None:
    """Forget what this request knows of the user's second factor: the user has left an organization."""
    request.__dict__.pop(_STANDING, None)


def _standing(request: HttpRequest) -> Standing | None:
    """Return what is to be said of the user's second factor, queried once per request; None: this session has given it."""
    if request.user.is_verified() or BY_PROVIDER in request.session:  # type: ignore[union-attr]  # django-otp adds it
        return None
    known: Standing | None = getattr(request, _STANDING, None)
    if known is None:
        known = standing_of(request.user)  # type: ignore[arg-type]  # whoever is verified or not has signed in
        setattr(request, _STANDING, known)
    return known
