"""boto3 as a program that runs for long: see tests/clients/client.rs for what it reads and prints."""

import sys

import boto3

BUCKET = "sensor-logs"
s3 = boto3.client("s3")

for line in sys.stdin:
    key = line.strip()
    try:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"21.5")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=key).get("Contents", [])
        answer = "ok" if any(item["Key"] == key for item in listed) else "not listed"
    except Exception as error:
        answer = f"{type(error).__name__}: {error}".replace("\n", " ")
    print(answer, flush=True)
