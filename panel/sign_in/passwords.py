"""Forgotten passwords: the page that asks for a link by e-mail, and the pages behind the link."""

from typing import Any

from django import forms
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import INTERNAL_RESET_SESSION_TOKEN, PasswordResetConfirmView
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminPasswordWidget

from core import lockout, password_links, users
from core.audit import Actor
from core.clients import client_address
from core.lockout import Secret
from core.models import User
from core.tasks import send_forgotten_links
from panel.site_mixin import SiteMixin

TOO_MANY = "Too many requests. Try again in five minutes."
OUT_OF_ORDER = "Links cannot be sent at the moment. Try again later."


def say_in_our_words(form: forms.Form) -> None:
    """Name the two fields of a new password as the other pages do; Django's say more, and each of them otherwise."""
    first, second = form.fields["new_password1"], form.fields["new_password2"]
    first.help_text = "At least ten characters; no common password, and not like your name or e-mail address."
    second.label, second.help_text = "Again", ""


class QueryForm(forms.Form):
    """Whose password was forgotten."""

    email = forms.EmailField(
        label="E-mail address",
        widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "email", "autofocus": ""}),
    )


class NewPasswordForm(SetPasswordForm):
    """The new password, twice; the change is audited, and ends all sessions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        say_in_our_words(self)
        for field in self.fields.values():
            field.widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        user: Any = self.user
        return users.set_password(user=user, password=self.cleaned_data["new_password1"], actor=Actor.of_user(user))


class SetPassword(PasswordResetConfirmView):
    """Behind the link. It signs nobody in: the sign-in asks for the second factor, too."""

    form_class = NewPasswordForm
    template_name = "panel/set_password.html"

    def get_user(self, uidb64: str) -> User | None:
        """Return the account of the link, if it may sign in to the panel."""
        user: Any = super().get_user(uidb64)
        return user if user is not None and user.is_active and user.is_staff else None

    def form_valid(self, form: Any) -> HttpResponse:
        """Set the password, unless the link was used since the page was asked for: of several at once one works."""
        token = self.request.session.get(INTERNAL_RESET_SESSION_TOKEN)
        with transaction.atomic():
            form.user = User.objects.select_for_update().get(pk=form.user.pk)
            if self.token_generator.check_token(form.user, token):
                return super().form_valid(form)
        self.validlink = False
        return self.render_to_response(self.get_context_data())


class Passwords(SiteMixin):
    """Mixin of the admin site: forgotten passwords."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [
            # The sign-in page of the theme links to this name.
            path("password-reset/", self.ask_for_link, name="admin_password_reset"),
            path("password-reset/<uidb64>/<token>/", self.set_password, name="password_reset_confirm"),
        ]
        return [*own, *super().get_urls()]

    @method_decorator(never_cache)
    @method_decorator(csrf_protect)
    def ask_for_link(self, request: HttpRequest) -> HttpResponse:
        """Ask for a link by e-mail. The answer is the same whether or not there is such an account."""
        is_possible, is_sent = password_links.is_possible(), False
        form = QueryForm(request.POST if request.method == "POST" and is_possible else None)
        if form.is_valid():
            problem = _ask(form.cleaned_data["email"], client_address(request))
            is_sent = problem is None
            if problem:
                form.add_error(None, problem)
        context = {
            **self.each_context(request),
            "title": "Forgotten password",
            "form": form,
            "is_possible": is_possible,
            "why_not": password_links.WHY_NOT,
            "is_sent": is_sent,
        }
        request.current_app = self.name
        return TemplateResponse(request, "panel/forgotten_password.html", context)

    def set_password(self, request: HttpRequest, uidb64: str, token: str) -> HttpResponseBase:
        """Set the password that the link is for."""
        request.current_app = self.name
        view = SetPassword.as_view(
            success_url=reverse("admin:login", current_app=self.name),
            extra_context={**self.each_context(request), "title": "Set a password"},
        )
        return view(request, uidb64=uidb64, token=token)


def _ask(email: str, address: str) -> str | None:
    """Have the links sent, by a worker; return why not. Every request counts as a failure of its client does."""
    try:
        if lockout.is_locked_out(username=email, address=address):
            return TOO_MANY
        lockout.count_failure(Secret.LINK, username=email, address=address)
        send_forgotten_links.delay(email)
    except (RedisError, OperationalError, OSError):
        return OUT_OF_ORDER
    return None
