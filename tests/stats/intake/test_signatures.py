import base64
import datetime
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from stats.intake import sources

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
PEM, PKCS1 = serialization.Encoding.PEM, padding.PKCS1v15()
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
BODY = b'{"event": "MessageSent"}'


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.example")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=900))
    return made.sign(key, hashes.SHA256()).public_bytes(PEM).decode()


def pem(key):
    return key.public_key().public_bytes(PEM, PUBLIC).decode()


def der(key):
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, PUBLIC)).decode()


def code_of(*args):
    with pytest.raises(sources.BadSignature) as caught:
        sources.verify(*args)
    return caught.value.code


def signed(body, algorithm=None):
    return base64.b64encode(RSA.sign(body, PKCS1, algorithm or hashes.SHA256())).decode()


@pytest.mark.parametrize("format", sources.FORMATS)
def test_without_a_key_the_token_alone_authenticates(format):  # noqa: A002
    sources.verify(format, BODY, {}, "")


@pytest.mark.parametrize("key", [pem(RSA), der(RSA)], ids=["pem", "base64"])
def test_postal(key):
    sources.check_key("postal", key)
    sources.verify("postal", BODY, {"X-Postal-Signature-256": signed(BODY)}, key)
    sources.verify("postal", BODY, {"X-Postal-Signature": signed(BODY, hashes.SHA1())}, key)
    assert code_of("postal", BODY + b" ", {"X-Postal-Signature-256": signed(BODY)}, key) == "invalid_signature"
    assert code_of("postal", BODY, {"X-Postal-Signature-256": "%%%"}, key) == "invalid_signature"
    assert code_of("postal", BODY, {}, key) == "unsigned"


@pytest.mark.parametrize("key", [pem(EC), der(EC)], ids=["pem", "base64"])
def test_sendgrid(key):
    sources.check_key("sendgrid", key)
    signature = base64.b64encode(EC.sign(b"1795746904" + BODY, ec.ECDSA(hashes.SHA256()))).decode()
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": signature,
        "X-Twilio-Email-Event-Webhook-Timestamp": "1795746904",
    }
    sources.verify("sendgrid", BODY, headers, key)
    assert code_of("sendgrid", BODY + b" ", headers, key) == "invalid_signature"
    later = {**headers, "X-Twilio-Email-Event-Webhook-Timestamp": "1795746905"}
    assert code_of("sendgrid", BODY, later, key) == "invalid_signature"
    assert (
        code_of("sendgrid", BODY, {**headers, "X-Twilio-Email-Event-Webhook-Timestamp": "é"}, key)
        == "invalid_signature"
    )
    assert code_of("sendgrid", BODY, {}, key) == "unsigned"


def sns(version="2", subject=None, key=RSA, **changes):
    message = {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": "arn",
        "Message": "{}",
        "Timestamp": "2026-11-27T02:35:04.417Z",
    }
    if subject is not None:
        message["Subject"] = subject
    text = "".join(f"{name}\n{message[name]}\n" for name in sorted(message))
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
    signature = base64.b64encode(key.sign(text.encode(), PKCS1, algorithm)).decode()
    return {
        **message,
        "SignatureVersion": version,
        "Signature": signature,
        "SigningCertURL": "https://evil.example",
        **changes,
    }


def body(*messages):
    return json.dumps(messages[0] if len(messages) == 1 else messages).encode()


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Grüße"])
def test_ses(version, subject):
    key = certificate(RSA)
    sources.check_key("ses", key)
    sources.verify("ses", body(sns(version, subject)), {}, key)
    sources.verify("ses", body(sns(version, subject), sns()), {}, key)
    # A certificate that follows another one stands beside it.
    sources.verify("ses", body(sns(version, subject)), {}, certificate(rsa.generate_private_key(65537, 2048)) + key)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (body(sns(Message='{"eventType": "Send"}')), "invalid_signature"),
        (body(sns(Subject="added")), "invalid_signature"),
        (body(sns(TopicArn="other")), "invalid_signature"),
        (body(sns(MessageId=None)), "invalid_signature"),
        (body(sns(Signature="x")), "invalid_signature"),
        (body(sns(), sns(Message="{ }")), "invalid_signature"),
        (body(sns(key=rsa.generate_private_key(65537, 2048))), "invalid_signature"),
        (body(sns(Signature=None)), "unsigned"),
        (body(sns(Type="Other")), "unsigned"),
        (b'{"eventType": "Send"}', "unsigned"),
        (b"[]", "unsigned"),
        (b"[1]", "unsigned"),
        (b"not json", "unsigned"),
        (b"", "unsigned"),
    ],
)
def test_it_rejects_what_is_not_signed_by_sns(sent, code):
    assert code_of("ses", sent, {}, certificate(RSA)) == code


def test_what_is_signed_is_what_is_read():
    """Two members of one name, or lines after a signed one: all is refused."""
    message = json.dumps(sns())
    twice = message[:-1] + ', "Message": "{\\"eventType\\": \\"Send\\"}"}'
    assert code_of("ses", twice.encode(), {}, certificate(RSA)) == "invalid_signature"
    more = message + "\n" + json.dumps({"eventType": "Send"})
    assert code_of("ses", more.encode(), {}, certificate(RSA)) == "unsigned"


@pytest.mark.parametrize(
    ("format", "key"),
    [
        ("postal", ""), ("postal", "x"), ("postal", pem(EC)), ("sendgrid", pem(RSA)), ("sendgrid", "AAAA"),
        ("ses", pem(RSA)), ("ses", certificate(EC)), ("ses", "x"), ("kumomta", pem(RSA)),
    ],
)  # fmt: skip
def test_it_rejects_keys_of_another_kind(format, key):  # noqa: A002
    with pytest.raises(sources.BadKey):
        sources.check_key(format, key)
