"""Requests to S3 and STS as botocore signs them, in all the forms that it has: s3_requests.py PROFILE"""

import io
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

session = boto3.Session(profile_name=sys.argv[1])
assert session.client("sts").get_caller_identity()["Account"] == "111122223333"

BUCKET = "sensor-logs"
KEYS = ["plain", "a b+c&d=e", "dir/ä/日本", "tilde~'()*!", "percent%20"]


def contents(client, key):
    return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


for checksums in ["when_supported", "when_required"]:
    config = Config(request_checksum_calculation=checksums, s3={"payload_signing_enabled": checksums == "when_required"})
    client = session.client("s3", config=config)
    for key in KEYS:
        body = f"{checksums} {key}".encode()
        client.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"made-by": "a  test"})
        assert contents(client, key) == body, key
    # A body whose length is known but that is not in memory goes as signed chunks with a trailer.
    client.upload_fileobj(io.BytesIO(b"x" * 70_000), BUCKET, "stream")
    assert contents(client, "stream") == b"x" * 70_000

listed = client.list_objects_v2(Bucket=BUCKET, Prefix="", Delimiter="/")
assert {"plain", "a b+c&d=e", "percent%20"} <= {entry["Key"] for entry in listed["Contents"]}, listed

parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=2)
client.upload_fileobj(io.BytesIO(b"y" * (11 << 20)), BUCKET, "parts", Config=parts)
assert contents(client, "parts") == b"y" * (11 << 20)

client.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "a b+c&d=e"})
assert contents(client, "copy") == b"when_required a b+c&d=e"
client.delete_object(Bucket=BUCKET, Key="copy")
try:
    contents(client, "copy")
    sys.exit("a deleted object is still there")
except ClientError as error:
    assert error.response["Error"]["Code"] == "NoSuchKey", error
