"""The user's own account: name, time zone, password, second factor."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_otp import login as note_second_factor
from django_otp.plugins.otp_totp.models import TOTPDevice
from redis.exceptions import RedisError
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminPasswordWidget

from alerts import reports
from core import address_links, lockout, password_checks, password_links, second_factor, users
from core.audit import Actor, record
from core.clients import client_address
from core.errors import Refused
from core.lockout import LockedOut, Secret
from core.models import User
from core.password_checks import TooManyPasswords
from panel.forms import errors
from panel.forms.fields import text_input, time_zone_field
from panel.sign_in.invitations import account_context
from panel.sign_in.login import LOCKED_OUT, OUT_OF_ORDER, WRONG_CODE, CodeForm
from panel.sign_in.passwords import say_in_our_words
from panel.site_mixin import SiteMixin
from servers.required_factors import demanding

NOT_YOURS = "Is not your password"
# In the session: the primary key of the secret that it was shown last.
_PENDING_DEVICE = "second_factor.pending"


class ProfileForm(forms.Form):
    """The fields that users can change of their own account."""

    first_name = forms.CharField(max_length=150, required=False, widget=text_input(autocomplete="given-name"))
    last_name = forms.CharField(max_length=150, required=False, widget=text_input(autocomplete="family-name"))
    email = forms.EmailField(
        label="E-mail address", required=False, widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "email"})
    )
    time_zone = time_zone_field()
    current_password = forms.CharField(
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
        help_text="Needed to change the e-mail address: links to set a password are sent there.",
    )

    def __init__(self, *args: Any, user: User, address: str, **kwargs: Any) -> None:
        self.user, self.address = user, address
        super().__init__(*args, **kwargs)
        if not (password_links.is_possible() or user.is_superuser):
            # Its mailbox cannot be asked, and what is mailed to people would go to whatever address they enter.
            self.fields["email"].disabled = True
            self.fields["email"].help_text = "Only the platform changes it: no link to confirm it can be sent."
            del self.fields["current_password"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        given = cleaned.pop("current_password", "")
        if "email" in cleaned and cleaned["email"] != self.user.email:
            try:
                is_right = bool(given) and is_own_password(self.user, given, self.address)
            except forms.ValidationError as problem:
                self.add_error("current_password", problem)
            else:
                if not is_right:
                    self.add_error("current_password", NOT_YOURS)
        return cleaned


def is_own_password(user: User, given: str, address: str) -> bool:
    """Whether this is the user's password. With a stolen session, an attacker must not be able to guess it."""

    def look() -> bool:
        with password_checks.in_turn(address):
            return user.check_password(given)

    try:
        return bool(lockout.guess(Secret.PASSWORD, username=user.get_username(), address=address, look=look))
    except LockedOut:
        raise forms.ValidationError(LOCKED_OUT, code="locked_out") from None
    except TooManyPasswords as problem:
        raise forms.ValidationError(f"{problem}.", code="busy") from None
    except (RedisError, OSError):
        raise forms.ValidationError(OUT_OF_ORDER, code="out_of_order") from None


class SetUpForm(CodeForm):
    """The first code of a new second factor, and the password: whoever has a stolen session must not lock its owner out."""

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


class PasswordForm(AdminOwnPasswordChangeForm):
    """The old password and the new one; the change is audited."""

    def __init__(self, *args: Any, address: str, **kwargs: Any) -> None:
        self.address = address
        super().__init__(*args, **kwargs)
        say_in_our_words(self)
        self.fields["old_password"].label = "Current password"

    def clean_old_password(self) -> str:
        given = self.cleaned_data["old_password"]
        is_right = is_own_password(self.user, given, self.address)
        if not is_right:
            raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return given

    @transaction.atomic
    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        user = super().save(commit)
        record(actor=Actor.of_user(user), act="user.password_changed", target=user)
        return user


class ChangePassword(PasswordChangeView):
    """The page to change the own password."""

    form_class = PasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "address": client_address(self.request)}


class Account(SiteMixin):
    """Mixin of the admin site: the user's own account."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [
            path("account/", self.admin_view(self.profile), name="account"),
            path("account/confirm/<token>/", self.confirm_address, name="confirm_address"),
            path("account/reports/", self.admin_view(self.weekly_reports), name="weekly_reports"),
            path("account/second-factor/", self.admin_view(self.second_factor), name="second_factor"),
        ]
        return [*own, *super().get_urls()]

    def profile(self, request: HttpRequest) -> HttpResponse:
        """Name, address and time zone."""
        user: Any = request.user
        shown = {name: getattr(user, name) for name in ("first_name", "last_name", "email", "time_zone")}
        form = ProfileForm(request.POST or None, initial=shown, user=user, address=client_address(request))
        if request.method == "POST" and form.is_valid():
            given = dict(form.cleaned_data)
            told = "Your account has been changed."
            try:
                with transaction.atomic():
                    if given["email"] not in ("", user.email) and password_links.is_possible():
                        email = given.pop("email")
                        address_links.request(user=user, email=email)
                        told = f"A link was sent to {email}: it is your address when you have followed the link, within a day."
                    users.change_user(user=user, actor=Actor.of_user(user), **given)
            except Refused as refusal:
                errors.show(form, refusal)
            else:
                messages.success(request, told)
                return redirect("admin:account")
        context = {
            "title": "Your account",
            "form": form,
            "status": second_factor.status(user),
            **account_context(user),
            "subscriptions": reports.subscriptions(user),
            "provider": settings.SLUICE_OIDC_NAME if settings.SLUICE_OIDC_ISSUER else "",
            "identities": list(user.identities.all()) if settings.SLUICE_OIDC_ISSUER else [],
        }
        return self._page(request, "panel/account.html", context)

    @method_decorator(never_cache)
    def confirm_address(self, request: HttpRequest, token: str) -> HttpResponse:
        """The page behind the link to a new address, without signing in. It asks first: programs open links, too."""
        context: dict[str, Any] = {**self.each_context(request), "title": "Your e-mail address"}
        request.current_app = self.name
        try:
            user, email = address_links.of_token(token)
            if request.method == "POST":
                address_links.confirm(token)
                context["done"] = f"{email} is the address of your account now"
            context["question"] = f"Is {email} to be the address of the account {user.get_username()}?"
        except Refused as refusal:
            return TemplateResponse(
                request, "panel/confirm_link.html", {**context, "problem": refusal.message}, status=404
            )
        return TemplateResponse(request, "panel/confirm_link.html", context)

    def weekly_reports(self, request: HttpRequest) -> HttpResponse:
        """Stop or resume the weekly reports of one of the user's organizations."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        user: Any = request.user
        act = reports.resume_reports if request.POST.get("do") == "resume" else reports.stop_reports
        found = [each.organization for each in reports.subscriptions(user)]
        wanted = next((each for each in found if str(each.pk) == request.POST.get("organization")), None)
        if wanted is None:
            messages.error(request, "The organization could not be found.")
        elif act(user=user, organization=wanted, actor=Actor.of_user(user)):
            is_stopped = act is reports.stop_reports
            words = "You get no more weekly reports of" if is_stopped else "You get the weekly reports of"
            messages.success(request, f"{words} {wanted}.")
        return redirect("admin:account")

    @method_decorator(sensitive_post_parameters())
    @method_decorator(never_cache)
    def second_factor(self, request: HttpRequest) -> HttpResponse:
        """One page for setup, recovery codes and removal, depending on the state."""
        user: Any = request.user
        status = second_factor.status(user)
        form = CodeForm(request.POST or None)
        if status.device is None:
            form = SetUpForm(request.POST or None, user=user, address=client_address(request))
        codes: list[str] = []
        if request.method == "POST" and form.is_valid():
            try:
                codes = _act(request, user, status, form.cleaned_data["code"])
            except second_factor.WrongCode:
                form.add_error("code", WRONG_CODE)
            except Refused as refusal:
                form.add_error(None, f"{refusal.message.rstrip('.')}.")
            else:
                if not codes:
                    return redirect("admin:second_factor")
                status, form = second_factor.status(user), CodeForm()
        device = None if status.device else _pending_device(request, user)
        context = {
            "title": "Second factor",
            "form": form,
            "status": status,
            "codes": codes,
            # Generated by the library from our own secret, without user input.
            "drawing": mark_safe(second_factor.drawing(device)) if device else "",  # noqa: S308
            "secret": second_factor.secret(device) if device else "",
            # Without the menu: nothing else can be opened before it is set up.
            "layout": "unfold/layouts/unauthenticated.html" if self.must_set_up(request) else "admin/base_site.html",
            "demanding": list(demanding(user)) if device else [],
        }
        return self._page(request, "panel/second_factor.html", context)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """The old password and the new one, twice."""
        request.current_app = self.name
        view = ChangePassword.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            template_name="panel/change_password.html",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.name
        return TemplateResponse(request, template, {**self.each_context(request), **context})


def _pending_device(request: HttpRequest, user: User) -> TOTPDevice:
    """Return a new secret at each visit; after a wrong code that which this session was shown, and no other session's."""
    found = second_factor.begun(user, request.session.get(_PENDING_DEVICE)) if request.method == "POST" else None
    if found is None:
        found = second_factor.begin(user)
        request.session[_PENDING_DEVICE] = found.pk
    return found


def _act(request: HttpRequest, user: User, status: second_factor.Status, code: str) -> list[str]:
    """Perform the button's action after a correct code, and return new recovery codes, if any."""
    actor = Actor.of_user(user)
    if status.device is None:
        device, codes = second_factor.confirm(
            user=user, number=request.session.get(_PENDING_DEVICE), code=code, actor=actor
        )
        del request.session[_PENDING_DEVICE]
        # This session stays signed in; all others are asked for a code.
        note_second_factor(request, device)
        messages.success(request, "The second factor is on.")
        return codes
    # With a stolen session, an attacker must not be able to remove the second factor by guessing codes.
    whom = {"username": user.get_username(), "address": client_address(request)}
    try:
        device = lockout.guess(Secret.CODE, **whom, look=lambda: second_factor.verify(user, code))
    except (RedisError, OSError):
        raise Refused(OUT_OF_ORDER.rstrip(".")) from None
    if device is None:
        raise second_factor.WrongCode
    if request.POST.get("do") == "remove":
        second_factor.remove(user=user, actor=actor)
        messages.success(request, "The second factor is off. You sign in with your password only.")
        return []
    return second_factor.renew_recovery_codes(user=user, actor=actor)
