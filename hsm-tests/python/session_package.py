"""A session by AWS's own package: session_package.py URL CERTIFICATE CHAIN KEY TRUST-ANCHOR PROFILE ROLE"""

import os
import sys

from iam_rolesanywhere_session import IAMRolesAnywhereSession

url, certificate, chain, key, trust_anchor, profile, role = sys.argv[1:]
session = IAMRolesAnywhereSession(
    profile_arn=profile,
    role_arn=role,
    trust_anchor_arn=trust_anchor,
    certificate=certificate,
    certificate_chain=chain,
    private_key=key,
    region=trust_anchor.split(":")[3],
    endpoint=url.removeprefix("https://"),
    verify=os.environ["AWS_CA_BUNDLE"],
).get_session()

identity = session.client("sts").get_caller_identity()
assert ":assumed-role/SensorWriter/" in identity["Arn"], identity
session.client("s3").put_object(Bucket="sensor-logs", Key="sensors/other-client/reading", Body=b"21.5")
