"""Requests of all sorts, and how botocore signs them: prints a JSON array. Always the same ones."""

import json
import random
import string
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

random.seed(20261122)
CREDENTIALS = Credentials("ASIAEXAMPLE", "a/secret+key", "a/token+of==several/words")
CHARACTERS = string.ascii_letters + string.digits + "-._~ !\"#$%&'()*+,:;<=>?@[]^`{|}äß日本"
VALUES = string.ascii_letters + string.digits + " \t-._~!\"#$%&'()*+,/:;<=>?@[]^`{|}"


def word(characters, most):
    return "".join(random.choices(characters, k=random.randint(1, most)))


def encoded(text):
    return quote(text.encode(), safe="-._~")


def vector(service, number):
    path = "/" + "/".join(encoded(word(CHARACTERS, 8)) for _ in range(random.randint(0, 4)))
    names = [word(CHARACTERS, 5) for _ in range(random.randint(0, 5))]
    query = "&".join(f"{encoded(name)}={encoded(word(CHARACTERS, 5))}" for name in names + names[:1])
    target = path + ("?" + query if query else "")
    headers = {f"X-Amz-Meta-{n}": word(VALUES, 20).strip() or "x" for n in range(random.randint(0, 3))}
    body = word(CHARACTERS, 50).encode() if random.random() < 0.7 else b""
    request = AWSRequest(
        method=random.choice(["GET", "PUT", "POST", "DELETE"]),
        url="https://sensor-logs.example.com" + target,
        headers=headers,
        data=body,
    )
    request.context["client_config"] = None
    timestamp = f"2026{number % 12 + 1:02}{number % 28 + 1:02}T012345Z"
    request.context["timestamp"] = timestamp
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(CREDENTIALS, service, "eu-west-1")
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    to_sign = signer.string_to_sign(request, canonical)
    signed = signer.headers_to_sign(request)
    return {
        "service": service,
        "method": request.method,
        "target": target,
        "date": timestamp,
        "headers": list(signed.items()),
        "body": body.decode(),
        "canonical": canonical,
        "string_to_sign": to_sign,
        "signature": signer.signature(to_sign, request),
    }


print(json.dumps([vector(random.choice(["s3", "sts", "iam"]), number) for number in range(400)]))
