//! What holds for any input to the core.

use keystead::core::create_session::parse_answer;
use keystead::core::http::Header;
use keystead::core::sigv4::{CanonicalRequest, Encoded, PathRule, Payload, Scope, StringToSign};
use keystead::core::text::Decimal;
use keystead::core::time::UnixTime;
use keystead::core::x509::{Certificate, PublicKeyInfo};
use proptest::prelude::*;

use crate::support::certificate::SELF_SIGNED;

fn canonical(target: &str, path: PathRule, headers: &[Header<'_>]) -> String {
    CanonicalRequest {
        method: "GET",
        target,
        path,
        headers: &[headers],
        payload: Payload::Literal("UNSIGNED-PAYLOAD"),
    }
    .to_string()
}

proptest! {
    #[test]
    fn times_survive_every_form(secs in 0..=UnixTime::MAX.as_secs()) {
        let time = UnixTime::from_secs(secs);
        prop_assert_eq!(UnixTime::parse_rfc3339(&time.to_string()), Some(time));
        prop_assert_eq!(UnixTime::parse_amz(&time.amz().to_string()), Some(time));
        prop_assert_eq!(UnixTime::parse_http(&time.http().to_string()), Some(time));
    }

    #[test]
    fn no_text_makes_a_date_panic(text: String) {
        let _ = UnixTime::parse_rfc3339(&text);
        let _ = UnixTime::parse_amz(&text);
        let _ = UnixTime::parse_http(&text);
    }

    #[test]
    fn serial_numbers_as_others_print_them(number: u128) {
        prop_assert_eq!(Decimal(&number.to_be_bytes()).to_string(), number.to_string());
    }

    #[test]
    fn what_is_encoded_is_not_encoded_again(text: String) {
        let once = Encoded::plain(&text).to_string();
        prop_assert_eq!(Encoded::wire(&once).to_string(), once);
    }

    #[test]
    fn parameters_and_headers_may_come_in_any_order(
        parameters in proptest::collection::vec("[a-c]{1,2}(=[a-c%]{0,2})?", 0..6),
        names in proptest::collection::hash_set("[a-z-]{1,6}", 0..6),
        target in "/[a-z./%]{0,20}",
    ) {
        let query = |parameters: &[String]| format!("{target}?{}", parameters.join("&"));
        let headers: Vec<Header<'_>> = names
            .iter()
            .map(|name| Header { name, value: name })
            .collect();
        let reversed_headers: Vec<Header<'_>> = headers.iter().rev().copied().collect();
        let reversed: Vec<String> = parameters.iter().rev().cloned().collect();
        for path in [PathRule::STANDARD, PathRule::S3] {
            prop_assert_eq!(
                canonical(&query(&parameters), path, &headers),
                canonical(&query(&reversed), path, &reversed_headers)
            );
        }
    }

    #[test]
    fn a_normalised_path_has_no_dots_and_stays_inside(target in "/[a-b./]{0,24}") {
        let text = canonical(&target, PathRule::STANDARD, &[]);
        let path = text.lines().nth(1).unwrap();
        prop_assert!(path.starts_with('/'));
        prop_assert!(path[1..].split('/').all(|segment| segment != "." && segment != ".."));
        prop_assert!(!path.contains("//"));
    }

    #[test]
    fn a_long_scope_is_an_error(region in "[a-z]{0,400}", service in "[a-z]{0,60}") {
        let scope = Scope { time: UnixTime::MAX, region: &region, service: &service };
        let together = region.len() + service.len();
        // What is said of `MAX_LEN`, and a name of an algorithm that is shorter.
        for (algorithm, room) in [("AWS4-X509-ECDSA-SHA256", 88), ("AWS4-HMAC-SHA256", 94)] {
            let outcome = StringToSign::new(algorithm, &scope, &[0; 32]);
            prop_assert_eq!(outcome.is_ok(), together <= room);
        }
    }

    #[test]
    fn no_damage_to_a_certificate_makes_it_panic(at in 0..395usize, byte: u8, len in 0..=395usize) {
        let mut der = SELF_SIGNED.to_vec();
        der[at] = byte;
        let _ = Certificate::from_der(&der);
        let cut = Certificate::from_der(&SELF_SIGNED[..len]);
        prop_assert_eq!(cut.is_ok(), len == SELF_SIGNED.len());
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes: Vec<u8>) {
        let _ = Certificate::from_der(&bytes);
        let _ = PublicKeyInfo::from_der(&bytes);
        let _ = parse_answer(&bytes, &mut [0; 32], "role", UnixTime::from_secs(0));
    }

    #[test]
    fn no_damage_to_an_answer_makes_a_credential_of_less(at in 0..210usize, byte: u8) {
        let role = "arn:aws:iam::1:role/r";
        let mut answer = format!(
            r#"{{"credentialSet":[{{"credentials":{{"accessKeyId":"AK","secretAccessKey":"SK","sessionToken":"ST","expiration":"2026-11-22T04:00:00Z"}},"roleArn":"{role}"}}],"subjectArn":"s"}}"#
        ).into_bytes();
        let at = at % answer.len();
        answer[at] = byte;
        let mut scratch = [0; 64];
        if let Ok(credentials) = parse_answer(&answer, &mut scratch, role, UnixTime::from_secs(0)) {
            prop_assert!(!credentials.access_key_id.is_empty());
            prop_assert!(!credentials.secret_access_key.is_empty());
            prop_assert!(!credentials.session_token.is_empty());
            prop_assert_eq!(credentials.role_arn, role);
        }
    }
}
