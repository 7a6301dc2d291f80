"""The product's settings, with the rivals' URLs beside its own."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.postal_rivals"
# No proxy that speaks TLS stands before the web server here.
SECURE_SSL_REDIRECT = False
