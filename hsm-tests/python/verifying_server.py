"""Verifies CreateSession requests with botocore's canonical form and Python's cryptography.

Prints its URL; answers until its standard input ends. A request that holds gets credentials, any
other one a refusal that says what is wrong.
"""

import base64
import datetime
import http.server
import json
import re
import sys
import threading

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

REQUIRED = ["content-type", "host", "x-amz-date", "x-amz-x509", "x-amz-x509-chain"]


class Refused(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Refused(what)


def certificates(text):
    return [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in text.split(",")]


def verify(url, headers, body):
    form = r"(\S+) Credential=(\d+)/(\d{8})/([a-z0-9-]+)/rolesanywhere/aws4_request, SignedHeaders=(\S+), Signature=([0-9a-f]+)"
    match = re.fullmatch(form, headers["authorization"])
    check(match, "the Authorization header is not of the documented form")
    algorithm, serial, day, region, names, signature = match.groups()
    names = names.split(";")
    check(names == sorted(names), "SignedHeaders are not sorted")
    check(not set(REQUIRED) - set(names), f"a required header is not signed: {names}")

    arns = json.loads(body)
    check(region == arns["trustAnchorArn"].split(":")[3], "another region than the trust anchor's")
    date = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    now = datetime.datetime.now(datetime.timezone.utc)
    check(abs(now - date) < datetime.timedelta(minutes=5), "the date is off")
    check(headers["x-amz-date"].startswith(day), "the scope's day is not the date's")

    leaf = certificates(headers["x-amz-x509"])[0]
    check(serial == str(leaf.serial_number), "another serial number than the certificate's")
    issued = leaf
    for issuer in certificates(headers["x-amz-x509-chain"]):
        issued.verify_directly_issued_by(issuer)
        check(issuer.subject != issuer.issuer, "the root is in the chain")
        issued = issuer

    request = AWSRequest(method="POST", url=url, data=body, headers={name: headers[name] for name in names})
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(credentials=None, service_name="rolesanywhere", region_name=region)
    canonical = signer.canonical_request(request)
    # botocore signs these of all that a request may have; the list here is the client's own.
    check(f"\n{';'.join(names)}\n" in canonical, f"botocore would sign others:\n{canonical}")
    scope = f"{day}/{region}/rolesanywhere/aws4_request"
    digest = hashes.Hash(hashes.SHA256())
    digest.update(canonical.encode())
    string = "\n".join([algorithm, headers["x-amz-date"], scope, digest.finalize().hex()]).encode()

    key, signature = leaf.public_key(), bytes.fromhex(signature)
    if isinstance(key, rsa.RSAPublicKey):
        check(algorithm == "AWS4-X509-RSA-SHA256", algorithm)
        key.verify(signature, string, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePublicKey):
        check(algorithm == "AWS4-X509-ECDSA-SHA256", algorithm)
        key.verify(signature, string, ec.ECDSA(hashes.SHA256()))
    else:
        check(algorithm == "AWS4-X509-MLDSA", algorithm)
        key.verify(signature, string)
    return arns["roleArn"]


def answer(role):
    expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=30)
    credentials = {
        "accessKeyId": "ASIAVERIFIED",
        "secretAccessKey": "secret",
        "sessionToken": "token",
        "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {"credentialSet": [{"credentials": credentials, "roleArn": role}]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            status, document = 201, answer(verify(f"http://{headers['host']}{self.path}", headers, body))
        except Exception as error:
            status, document = 403, {"message": f"{type(error).__name__} {error}", "__type": "AccessDeniedException"}
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


# The chain of an ML-DSA device makes headers longer than Python expects.
http.server.BaseHTTPRequestHandler.MAX_LINE = 1 << 20
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
