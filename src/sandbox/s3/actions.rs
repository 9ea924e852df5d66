//! Which IAM actions an S3 operation takes, and on what (Service Authorization Reference, "Actions,
//! resources, and condition keys for Amazon S3").

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use http::HeaderMap;
use s3s::dto::CopySource;
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

/// An action, and the ARN that it is on.
pub(super) type Permission = (&'static str, String);

/// The ARN of an object.
pub(super) fn object_arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// Everything that has to be allowed for `operation`. `DeleteObjects` is judged key by key when its
/// body was read.
///
/// # Errors
/// `NotImplemented` for operations that the sandbox does not have.
pub(super) fn required(
    operation: &str,
    path: &S3Path,
    headers: &HeaderMap,
) -> S3Result<Vec<Permission>> {
    let resource = match path {
        S3Path::Root => "*".into(),
        S3Path::Bucket { bucket } => format!("arn:aws:s3:::{bucket}"),
        S3Path::Object { bucket, key } => object_arn(bucket, key),
    };
    let action = match operation {
        "GetObject" | "HeadObject" => "s3:GetObject",
        "PutObject"
        | "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => "s3:PutObject",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "ListParts" => "s3:ListMultipartUploadParts",
        "DeleteObject" => "s3:DeleteObject",
        "DeleteObjects" => return Ok(Vec::new()),
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "s3:ListBucket",
        "GetBucketLocation" => "s3:GetBucketLocation",
        "CreateBucket" => "s3:CreateBucket",
        "DeleteBucket" => "s3:DeleteBucket",
        "ListBuckets" => "s3:ListAllMyBuckets",
        _ => return Err(s3_error!(NotImplemented, "The sandbox has no {operation}")),
    };
    let mut permissions = vec![(action, resource.clone())];
    if headers.contains_key("x-amz-tagging") {
        permissions.push(("s3:PutObjectTagging", resource.clone()));
    }
    if headers.contains_key("x-amz-acl") {
        permissions.push(("s3:PutObjectAcl", resource));
    }
    if matches!(operation, "CopyObject" | "UploadPartCopy") {
        permissions.push(("s3:GetObject", copy_source(headers)?));
    }
    Ok(permissions)
}

/// The ARN of the object that is copied.
fn copy_source(headers: &HeaderMap) -> S3Result<String> {
    let source = headers
        .get("x-amz-copy-source")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| CopySource::parse(value).ok());
    match source {
        Some(CopySource::Bucket { bucket, key, .. }) => Ok(object_arn(&bucket, &key)),
        _ => Err(s3_error!(
            InvalidArgument,
            "x-amz-copy-source has to be /bucket/key"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn permissions(operation: &str, headers: &HeaderMap) -> Option<Vec<Permission>> {
        required(operation, &S3Path::object("b", "k/1"), headers).ok()
    }

    #[test]
    fn parts_of_an_upload_are_puts() {
        for operation in ["PutObject", "UploadPart", "CompleteMultipartUpload"] {
            assert_eq!(
                permissions(operation, &HeaderMap::new()),
                Some(vec![("s3:PutObject", "arn:aws:s3:::b/k/1".into())])
            );
        }
        assert!(permissions("PutBucketPolicy", &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_copy_reads_its_source() {
        let mut headers = HeaderMap::new();
        assert!(permissions("CopyObject", &headers).is_none());
        headers.insert(
            "x-amz-copy-source",
            HeaderValue::from_static("/from/a%2Fb?versionId=1"),
        );
        assert_eq!(
            permissions("CopyObject", &headers),
            Some(vec![
                ("s3:PutObject", "arn:aws:s3:::b/k/1".into()),
                ("s3:GetObject", "arn:aws:s3:::from/a/b".into()),
            ])
        );
    }

    #[test]
    fn tags_and_acls_are_actions_of_their_own() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-tagging", HeaderValue::from_static("a=b"));
        headers.insert("x-amz-acl", HeaderValue::from_static("private"));
        let actions: Vec<_> = permissions("PutObject", &headers)
            .into_iter()
            .flatten()
            .map(|(action, _)| action)
            .collect();
        assert_eq!(
            actions,
            ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl"]
        );
    }
}
