//! Variables that AWS's SDKs would go by in place of ours.

/// What gets in the way of credentials that are in the environment themselves.
///
/// - botocore takes `AWS_SECURITY_TOKEN`, the session token's old name, before `AWS_SESSION_TOKEN`.
/// - With `AWS_PROFILE` the JavaScript SDK does not look at the credentials in the environment, and others
///   do so for a part of their settings.
/// - The .NET SDK assumes a role with a web identity before anything else.
/// - `AWS_ACCOUNT_ID` belongs to other credentials, and becomes part of the addresses of services.
/// - With `AWS_BEARER_TOKEN_BEDROCK` newer SDKs ask Bedrock with that token, and sign nothing.
/// - The rest are other sources: whoever cannot use ours is to say so, and not to go on as somebody else.
pub const BESIDE_KEYS: [&str; 14] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_ACCOUNT_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// What gets in the way of a container endpoint, beside [`BESIDE_KEYS`]: every SDK takes keys from the
/// environment first.
pub const BESIDE_ENDPOINT: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
];
