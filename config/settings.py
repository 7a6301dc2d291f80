"""Settings, read from the environment only.

Embedded is the default: SQLite, Celery's filesystem broker and secrets made once, all under SLUICE_DATA_DIR. Production
means that DATABASE_URL is set; then nothing starts while anything is missing or unsafe (config.production, config.checks).
docs/operations.md tells what each variable does.
"""

import logging
import os
from pathlib import Path

from config import embedded, logs, production
from config import environment as env
from core import broker
from panel import theme
from sluice import __version__

BASE_DIR = Path(__file__).resolve().parent.parent
production.refuse_half_configured(os.environ)
IS_PRODUCTION = bool(env.text("DATABASE_URL"))
DEBUG = env.flag("DEBUG", default=False)
SLUICE_DATA_DIR = Path(env.text("SLUICE_DATA_DIR", default=str(BASE_DIR / "var")))

# --- Secrets ---------------------------------------------------------------------------------------------------------

SECRET_KEY = env.text("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
# Fernet keys, newest first: the first encrypts, all decrypt.
SLUICE_ENCRYPTION_KEYS = env.words("SLUICE_ENCRYPTION_KEYS")
if not IS_PRODUCTION:
    secrets = embedded.secrets(SLUICE_DATA_DIR)
    SECRET_KEY = SECRET_KEY or secrets["secret_key"]
    SLUICE_ENCRYPTION_KEYS = SLUICE_ENCRYPTION_KEYS or [secrets["encryption_key"]]

ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default=[] if IS_PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
CSRF_FAILURE_VIEW = "panel.error_pages.csrf_failure"

# --- HTTP ------------------------------------------------------------------------------------------------------------

# Networks of the proxies whose forwarding headers are believed (config.middleware, core.clients); from others they are removed.
SLUICE_TRUSTED_PROXIES = env.words("SLUICE_TRUSTED_PROXIES")
# The header by which the proxy says that its client came by HTTPS, such as X-Forwarded-Proto. The proxy must set it itself.
if proxy_header := env.text("SECURE_PROXY_SSL_HEADER"):
    SECURE_PROXY_SSL_HEADER = (f"HTTP_{proxy_header.upper().replace('-', '_')}", "https")
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=IS_PRODUCTION)
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", default=3600 if IS_PRODUCTION else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.flag("SECURE_HSTS_PRELOAD", default=False)
# Whether browsers must use HTTPS for a domain's other hosts too is not Sluice's to decide; operators set it.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "sluice_session", "sluice_csrf"
# A throttling template's page may hold 250 rules of a dozen fields each; Django's own limit is 1,000 fields.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000
# Django would write files of any size to the disk, before it asks who sends them.
FILE_UPLOAD_HANDLERS = ["panel.uploads.SmallFiles"]

# --- Applications ----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # unfold replaces templates of django.contrib.admin and must come first.
    # Without its own site: panel.site is ours.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "panel.apps.SiteConfig",
    # Its createsuperuser takes the place of Django's, and so comes first.
    "core",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "django_structlog",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "throttling",
    "ippools",
    "servers",
    "webhooks",
    "suppressions",
    "stats",
    "nodes",
    "alerts",
    "api",
    "panel",
    "config",
]

MIDDLEWARE = [
    # The first: what comes after it must not see a source's token in the path.
    "api.postal.source_tokens.SourceTokens",
    # Before everything that asks who the client is and how it came.
    "config.middleware.ForwardingHeaders",
    # Before the rest: probes come by IP address, over plain HTTP and without a session.
    "config.health.Probes",
    "config.metrics.Measure",
    "config.middleware.LongAddresses",
    "config.middleware.MalformedHeads",
    "django.middleware.security.SecurityMiddleware",
    "panel.security_policy.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "config.request_log.RequestLog",
    "panel.time_zone.ViewersZone",
    # After the user is known; what it frames comes from everything below.
    "panel.error_pages.PanelErrorPages",
    # Nothing above reads the query string or the form.
    "config.middleware.Encodings",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database --------------------------------------------------------------------------------------------------------

# Threads of a web process; each may hold a connection of the process's pool.
SLUICE_WEB_THREADS = env.number("SLUICE_WEB_THREADS", default=8, least=1)
if IS_PRODUCTION:
    pool_size = env.number("SLUICE_DATABASE_POOL", default=SLUICE_WEB_THREADS)
    DATABASES = {"default": production.database(env.database("DATABASE_URL"), pool_size=pool_size)}
    if env.text("DATABASE_REPLICA_URL"):
        DATABASES["replica"] = production.replica(env.database("DATABASE_REPLICA_URL"), pool_size=pool_size)
        MIDDLEWARE.append("panel.reading.FromReplica")
    if env.text("STATS_DATABASE_URL"):
        # Events and counts; what is in it says stats.ledger.database.
        DATABASES["stats"] = production.statistics(env.database("STATS_DATABASE_URL"), pool_size=pool_size)
        DATABASE_ROUTERS = ["stats.router.LedgerRouter"]
else:
    DATABASES = {"default": embedded.database(SLUICE_DATA_DIR)}
# Seconds that a statement of a web process may take on PostgreSQL; 0: as long as it takes (config.postgresql.bounds).
SLUICE_STATEMENT_TIMEOUT = env.number("SLUICE_STATEMENT_TIMEOUT", default=10)
# Seconds that a reader of the replica may be behind in what nobody changed by an act, such as counts.
SLUICE_REPLICA_LAG = env.number("SLUICE_REPLICA_LAG", default=10, least=1)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery ----------------------------------------------------------------------------------------------------------

REDIS_URL = env.text("REDIS_URL")
if REDIS_URL:
    CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = broker.celery(REDIS_URL)
    # The counts of wrong passwords stand apart; a Redis with `noeviction` drops none of them before its time.
    CACHES = {"default": broker.cache(REDIS_URL), "lockout": {**broker.cache(REDIS_URL), "KEY_PREFIX": "lockout"}}
else:
    CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = embedded.broker(SLUICE_DATA_DIR)
    CELERY_BROKER_TRANSPORT = "config.folder_broker:Transport"
    CACHES = {"default": embedded.cache(SLUICE_DATA_DIR), "lockout": embedded.counters(SLUICE_DATA_DIR)}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A Redis whose memory is full answers with errors, which would end the worker; as one that is away, it is tried again.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
# Retried indefinitely: a worker that gives up must be started by hand.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Results in the database slow tasks sevenfold; what operators must see is a row of its own.
CELERY_TASK_IGNORE_RESULT = True
# Or Celery schedules a task of its own that throws old results away.
CELERY_RESULT_EXPIRES = None
# A task may run twice (each is idempotent), but is not lost with its worker, and none waits behind another worker's long one.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(SLUICE_DATA_DIR / "beat")
CELERY_TIMEZONE = "UTC"

# --- Logs and metrics ------------------------------------------------------------------------------------------------

SLUICE_LOG_FORMAT = env.text("SLUICE_LOG_FORMAT", default="json" if IS_PRODUCTION else "console")
LOGGING = logs.configure(form=SLUICE_LOG_FORMAT, level=env.text("SLUICE_LOG_LEVEL", default="INFO"))
DJANGO_STRUCTLOG_CELERY_ENABLED = True
# One line a request, at its end; what it was is in that line.
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
# The collector that traces go to, as in http://127.0.0.1:4318, and how many of 100 requests are traced.
SLUICE_OTLP_ENDPOINT = env.text("SLUICE_OTLP_ENDPOINT")
SLUICE_OTLP_PERCENT = min(100, env.number("SLUICE_OTLP_PERCENT", default=100))
if SLUICE_OTLP_ENDPOINT:
    MIDDLEWARE.insert(MIDDLEWARE.index("config.metrics.Measure"), "config.tracing.Requests")
# Where it is set, /metrics wants it as a bearer token.
SLUICE_METRICS_TOKEN = env.text("SLUICE_METRICS_TOKEN")

# --- People ----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "core.User"
SESSION_ENGINE = "core.sessions"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
OTP_TOTP_ISSUER = "Sluice"
# Sign-in by an OpenID provider beside passwords (panel/sign_in/single_sign_on.py); empty: passwords only.
SLUICE_OIDC_ISSUER = env.text("SLUICE_OIDC_ISSUER")
SLUICE_OIDC_CLIENT_ID = env.text("SLUICE_OIDC_CLIENT_ID")
SLUICE_OIDC_CLIENT_SECRET = env.text("SLUICE_OIDC_CLIENT_SECRET")
# What people call the provider: the button says "Sign in by …".
SLUICE_OIDC_NAME = env.text("SLUICE_OIDC_NAME", default="single sign-on")
SLUICE_OIDC_SCOPES = env.text("SLUICE_OIDC_SCOPES", default="openid profile email")
# The claim that has a person's groups, and which roles they give (core/provided_roles.py).
SLUICE_OIDC_GROUPS_CLAIM = env.text("SLUICE_OIDC_GROUPS_CLAIM", default="groups")
SLUICE_OIDC_ROLES = env.words("SLUICE_OIDC_ROLES")
SLUICE_OIDC_SESSION_HOURS = env.number("SLUICE_OIDC_SESSION_HOURS", default=12, least=1)
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# --- Language, time, static files ------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True
FORMAT_MODULE_PATH = "panel.formats"
STATIC_URL = "static/"
# Filled by `collectstatic`, which `up` runs; in production it is a step of the installation.
STATIC_ROOT = Path(env.text("SLUICE_STATIC_ROOT", default=str(SLUICE_DATA_DIR / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Compression takes 20 s, without benefit on localhost.
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    },
}

# --- API --------------------------------------------------------------------------------------------------------------

# Everything else is declared by api.views and by each dialect's own base view.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Sluice",
    "DESCRIPTION": "Mail servers, IP pools, throttling rules and statistics, in the dialects of Postal and GreenArrow.",
    "VERSION": __version__,
    # 3.1, whose schemas are JSON Schema itself.
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    # What is read-only is no part of a request, and what is write-only no part of an answer.
    "COMPONENT_SPLIT_REQUEST": True,
    # The docs page loads nothing from outside.
    "SWAGGER_UI_DIST": "SIDECAR",
    # The links would be within buttons, where no screen reader finds them.
    "SWAGGER_UI_SETTINGS": {"deepLinking": False},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["api.openapi.add_components", "api.openapi.add_links"],
}

# --- The panel -------------------------------------------------------------------------------------------------------

UNFOLD = theme.UNFOLD
FORM_RENDERER = "panel.forms.rendering.Renderer"

# --- Sluice ----------------------------------------------------------------------------------------------------------

# The last label(s) of host names made for addresses: 1-1-1-1.<organization's permalink>.<suffix>.
SLUICE_HOSTNAME_SUFFIX = env.host_name("SLUICE_HOSTNAME_SUFFIX", default="postal")
# The submission host and port shown to new customers.
SLUICE_SMTP_HOST = env.text("SLUICE_SMTP_HOST", default=f"smtp.{SLUICE_HOSTNAME_SUFFIX}")
SLUICE_SMTP_PORT = env.number("SLUICE_SMTP_PORT", default=587, least=1)
# Days that a permalink which an organization gave up is held back for it.
SLUICE_PERMALINK_HOLD = env.number("SLUICE_PERMALINK_HOLD", default=30)
# Days that raw events are kept; daily and coarser counts are kept permanently.
SLUICE_EVENT_RETENTION = env.number("SLUICE_EVENT_RETENTION", default=30, least=1)
# Days; older events are refused.
SLUICE_EVENT_MAX_AGE = env.number("SLUICE_EVENT_MAX_AGE", default=5 * 366, least=1)
# Whether configuration changes are published to the nodes automatically (`auto`) or on request (`manual`).
SLUICE_PUBLISH = env.choice("SLUICE_PUBLISH", ["auto", "manual"], default="manual" if IS_PRODUCTION else "auto")
# What becomes of addresses in trouble in pools that say nothing of their own: nothing, it is told, or they are drained.
SLUICE_DRAIN = env.choice("SLUICE_DRAIN", ["off", "watch", "act"], default="off")
# Long-polling requests of nodes that a web process holds; further requests are answered with a retry interval.
SLUICE_NODE_WAITERS = env.number("SLUICE_NODE_WAITERS", default=max(1, SLUICE_WEB_THREADS // 2), least=1)
SLUICE_NODE_RETRY = 5

# The folder of scheduled backups; empty: none are made. And how many are kept.
SLUICE_BACKUP_FOLDER = env.text("SLUICE_BACKUP_FOLDER")
SLUICE_BACKUP_KEEP = env.number("SLUICE_BACKUP_KEEP", default=14, least=1)
# Where they are copied to, as in s3://bucket/prefix (config/backup_bucket.py); the server, if it is not Amazon's; and how many
# are kept there (0: Sluice deletes none).
SLUICE_BACKUP_BUCKET = env.text("SLUICE_BACKUP_BUCKET")
SLUICE_BACKUP_ENDPOINT = env.text("SLUICE_BACKUP_ENDPOINT")
SLUICE_BACKUP_REGION = env.text("SLUICE_BACKUP_REGION")
SLUICE_BACKUP_BUCKET_KEEP = env.number("SLUICE_BACKUP_BUCKET_KEEP", default=90)

# --- DNS -------------------------------------------------------------------------------------------------------------

# What an organization may have where the platform gave it no limits of its own (servers/quotas.py).
SLUICE_QUOTAS = {
    "max_servers": env.number("SLUICE_MAX_SERVERS", default=10_000),
    "max_domains": env.number("SLUICE_MAX_DOMAINS", default=100_000),
    "max_addresses": env.number("SLUICE_MAX_ADDRESSES", default=20_000),
    "max_credentials": env.number("SLUICE_MAX_CREDENTIALS", default=100_000),
    "max_webhooks": env.number("SLUICE_MAX_WEBHOOKS", default=10_000),
    "max_keyless_creations_an_hour": env.number("SLUICE_MAX_KEYLESS_CREATIONS_AN_HOUR", default=1_000),
}
# Whom to ask, as `address` or `address:port`; empty: the system's resolvers.
SLUICE_DNS_SERVERS = env.words("SLUICE_DNS_SERVERS")
# Checks of domains and addresses that run side by side in one worker.
SLUICE_DNS_PARALLEL = env.number("SLUICE_DNS_PARALLEL", default=16, least=1)
# Requests of a web process that may wait for DNS at once. Long polls of nodes may hold half of the threads: these, a quarter.
SLUICE_DNS_WAITERS = env.number("SLUICE_DNS_WAITERS", default=max(1, SLUICE_WEB_THREADS // 4), least=1)
# The hosts that customers' domains point to: their MX records, and the CNAME at rp.<domain>.
SLUICE_MX_HOSTS = env.words("SLUICE_MX_HOSTS", default=[f"mx.{SLUICE_HOSTNAME_SUFFIX}"])
SLUICE_RETURN_PATH_HOST = env.text("SLUICE_RETURN_PATH_HOST", default=f"rp.{SLUICE_HOSTNAME_SUFFIX}")
# A name whose SPF record lists the platform's addresses; customers then publish `include:` of it. Empty: they publish the
# addresses of their server's pools themselves.
SLUICE_SPF_INCLUDE = env.text("SLUICE_SPF_INCLUDE")

# --- Webhooks --------------------------------------------------------------------------------------------------------

# Networks besides the public internet that webhooks may be called in.
SLUICE_WEBHOOK_NETWORKS = env.networks("SLUICE_WEBHOOK_NETWORKS")
# Workers that make deliveries at once, the calls that each has under way, and those of one host.
SLUICE_WEBHOOK_WORKERS = env.number("SLUICE_WEBHOOK_WORKERS", default=1, least=1)
SLUICE_WEBHOOK_THREADS = env.number("SLUICE_WEBHOOK_THREADS", default=32, least=2)
SLUICE_WEBHOOK_HOST_CONNECTIONS = env.number("SLUICE_WEBHOOK_HOST_CONNECTIONS", default=8, least=1)
# Deliveries of one webhook that may be waiting; beyond them the oldest are dropped, and counted.
SLUICE_WEBHOOK_BACKLOG = env.number("SLUICE_WEBHOOK_BACKLOG", default=250_000, least=1)
# Days that deliveries are kept after they came into being, and with them the recipients' mailboxes.
SLUICE_WEBHOOK_RETENTION = env.number("SLUICE_WEBHOOK_RETENTION", default=7, least=1)

# --- Suppressions ----------------------------------------------------------------------------------------------------

# Entries of one organization's suppression list.
SLUICE_MAX_SUPPRESSIONS = env.number("SLUICE_MAX_SUPPRESSIONS", default=5_000_000)

# --- Alerts ----------------------------------------------------------------------------------------------------------

# Percent of free space below which the disk of an embedded installation is told of as low; 0: never.
SLUICE_DISK_WARNING = env.number("SLUICE_DISK_WARNING", default=10, least=0)

# The panel's address, as in https://panel.example.com, for links in messages. Empty: without links.
SLUICE_PANEL_URL = env.text("SLUICE_PANEL_URL")
# Where events for PagerDuty go: the service region of the EU has an address of its own.
SLUICE_PAGERDUTY_URL = env.text("SLUICE_PAGERDUTY_URL", default="https://events.pagerduty.com/v2/enqueue")
# The mail server that takes alerts. Embedded and without one, messages are files.
EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.number("EMAIL_PORT", default=25, least=1)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", default=f"alerts@{SLUICE_HOSTNAME_SUFFIX}")
if EMAIL_HOST or IS_PRODUCTION:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST = EMAIL_HOST or "localhost"
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = SLUICE_DATA_DIR / "mail"
