"""Requests that the sandbox must refuse: tampered.py PROFILE"""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

good = boto3.Session(profile_name=sys.argv[1]).get_credentials().get_frozen_credentials()


def refusal(call, access_key=good.access_key, secret=good.secret_key, token=good.token, spoil=None):
    client = boto3.Session(
        aws_access_key_id=access_key, aws_secret_access_key=secret, aws_session_token=token, region_name="eu-west-1"
    ).client(call[0], config=Config(retries={"max_attempts": 1}))
    if spoil:
        client.meta.events.register("before-send", lambda request, **_: spoil(request))
    try:
        getattr(client, call[1])(**call[2])
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


PUT = ("s3", "put_object", {"Bucket": "sensor-logs", "Key": "k", "Body": b"1"})
GET = ("s3", "get_object", {"Bucket": "sensor-logs", "Key": "k"})
WHO = ("sts", "get_caller_identity", {})


def header(name, value):
    def spoil(request):
        request.headers[name] = value

    return spoil


def other_key(request):
    request.url += "2"


for call in [PUT, GET, WHO]:
    assert refusal(call) is None, call
    for change, codes in [
        ({"secret": "x" * 40}, ["SignatureDoesNotMatch"]),
        ({"access_key": "ASIAXXXXXXXXXXXXXXXX"}, ["InvalidAccessKeyId", "InvalidClientTokenId"]),
        ({"token": "another"}, ["InvalidToken", "InvalidClientTokenId"]),
        ({"token": None}, ["InvalidToken", "InvalidClientTokenId", "InvalidAccessKeyId"]),
        ({"spoil": header("X-Amz-Date", "20200101T000000Z")}, ["RequestTimeTooSkewed", "SignatureDoesNotMatch", "AccessDenied"]),
    ]:
        code = refusal(call, **change)
        assert code in codes, (call[1], list(change), code)
assert refusal(PUT, spoil=other_key) == "SignatureDoesNotMatch"
