"""What AWS's Python programs find in files that keystead has written: credentials_file.py PROFILE FILE...

Beside each FILE is FILE.before, as it was.
"""

import os
import sys

import boto3
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigParseError

OURS = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token"}


def is_of(section, profile):
    """Whether some reader or other takes a section for the profile's."""
    return section.split("]")[0].strip() == profile


def others(path, profile):
    """All settings but ours; nothing if there is a mistake in the file."""
    try:
        sections = raw_config_parse(path)
    except ConfigParseError:
        return None
    for section, settings in sections.items():
        if is_of(section, profile):
            sections[section] = {name: value for name, value in settings.items() if name not in OURS}
    return {name: settings for name, settings in sections.items() if settings or not is_of(name, profile)}


profile, *files = sys.argv[1:]
for path in files:
    before = others(path + ".before", profile)
    after = others(path, profile)
    assert after is not None, f"{path}: {open(path).read()}"
    assert before is None or after == before, (path, before, after)
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = path
    session = boto3.Session(profile_name=profile, region_name="eu-west-1")
    assert session.get_credentials().method == "shared-credentials-file"
    arn = session.client("sts").get_caller_identity()["Arn"]
    assert ":assumed-role/SensorWriter/" in arn, arn
