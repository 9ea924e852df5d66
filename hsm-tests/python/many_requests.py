"""Many requests of one process need one session: many_requests.py PROFILE"""

import sys

import boto3

s3 = boto3.Session(profile_name=sys.argv[1]).client("s3")
for number in range(20):
    s3.put_object(Bucket="sensor-logs", Key=f"sensors/{number}", Body=str(number).encode())
