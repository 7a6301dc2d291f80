"""A new password, asked for twice."""

from typing import Any

from django import forms
from django.contrib.auth import password_validation
from unfold.widgets import UnfoldAdminPasswordWidget

from core.models import User

# What browsers offer to fill in, and what they keep.
NEW = {"autocomplete": "new-password"}


class PasswordTwice(forms.Form):
    """A new password, twice. Whoever asks says whose it is, which it must not be like."""

    password = forms.CharField(strip=False, widget=UnfoldAdminPasswordWidget(attrs=NEW))
    again = forms.CharField(strip=False, widget=UnfoldAdminPasswordWidget(attrs=NEW))

    def whose(self) -> User:
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("password") and cleaned.get("again"):
            if cleaned["password"] != cleaned["again"]:
                self.add_error("again", "Is not the same password")
            else:
                try:
                    password_validation.validate_password(cleaned["password"], self.whose())
                except forms.ValidationError as error:
                    self.add_error("password", error)
        return cleaned
