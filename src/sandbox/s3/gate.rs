//! Forms of authentication that `s3s` knows and that cannot carry a session's token to
//! [`SessionAccess`](super::access::SessionAccess): refused before it sees them.

use http::{Method, Request};
use s3s::{S3Result, s3_error};

/// Lets through what is signed with SigV4, in the header or in the query, and what is not signed at
/// all, which `SessionAccess` refuses.
pub(super) fn check<B>(request: &Request<B>) -> S3Result<()> {
    let headers = request.headers();
    let is_form = headers.get_all("content-type").iter().any(|value| {
        let value = value.as_bytes().trim_ascii_start();
        let form = b"multipart/form-data";
        value.len() >= form.len() && value[..form.len()].eq_ignore_ascii_case(form)
    });
    if request.method() == Method::POST && is_form {
        return Err(s3_error!(
            MethodNotAllowed,
            "The sandbox takes no browser-based uploads (POST forms)"
        ));
    }
    let has_parameter = |name: &str| {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        form_urlencoded::parse(query).any(|(given, _)| given.eq_ignore_ascii_case(name))
    };
    let authorization = headers.get("authorization");
    let is_v2 = authorization.is_some_and(|value| value.as_bytes().starts_with(b"AWS "))
        || has_parameter("Signature")
        || has_parameter("AWSAccessKeyId");
    if is_v2 {
        return Err(s3_error!(
            InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        ));
    }
    if authorization.is_some() && has_parameter("X-Amz-Signature") {
        return Err(s3_error!(
            InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the \
             Authorization header should be specified"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::S3ErrorCode;

    fn refusal(request: http::request::Builder) -> Option<S3ErrorCode> {
        let request = request.body(()).unwrap();
        check(&request).err().map(|error| error.code().clone())
    }

    #[test]
    fn other_mechanisms_are_refused() {
        let form =
            Request::post("/bucket").header("content-type", "Multipart/Form-Data; boundary=x");
        assert_eq!(refusal(form), Some(S3ErrorCode::MethodNotAllowed));
        let v2 = Request::get("/bucket/key").header("authorization", "AWS AKID:c2ln");
        assert_eq!(refusal(v2), Some(S3ErrorCode::InvalidRequest));
        let v2 = Request::get("/bucket/key?AWSAccessKeyId=a&Expires=1&Signature=c2ln");
        assert_eq!(refusal(v2), Some(S3ErrorCode::InvalidRequest));
        let both = Request::get("/bucket/key?X-Amz-Signature=00")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=…");
        assert_eq!(refusal(both), Some(S3ErrorCode::InvalidArgument));
        let v4 = Request::put("/bucket/key").header("authorization", "AWS4-HMAC-SHA256 x");
        assert_eq!(refusal(v4), None);
    }
}
