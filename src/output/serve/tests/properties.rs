use super::*;
use proptest::prelude::*;

fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("latest"),
        Just("api"),
        Just("token"),
        Just("meta-data"),
        Just("iam"),
        Just("security-credentials"),
        Just("SensorWriter"),
        Just("credentials"),
        Just("hub"),
        Just("lab"),
        Just("metrics"),
        Just("healthz"),
        Just("2021-03-23"),
        Just(".."),
        Just("%2e%2e"),
        Just("%"),
        Just(""),
    ];
    let pieces = proptest::collection::vec(piece, 0..7);
    prop_oneof![
        4 => pieces.prop_map(|pieces| format!("/{}", pieces.join("/"))),
        1 => "/\\PC{0,20}",
    ]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let name = prop_oneof![
        Just("Authorization"),
        Just("X-aws-ec2-metadata-token"),
        Just("X-aws-ec2-metadata-token-ttl-seconds"),
        Just("X-Forwarded-For"),
        Just("Origin"),
        Just("Host"),
    ];
    let value = prop_oneof![
        Just(String::new()),
        Just(String::from("60")),
        Just(String::from("127.0.0.1")),
        "[0-9a-f]{64}",
        "[A-Za-z0-9+/]{64}",
        "\\PC{0,20}",
    ];
    proptest::collection::vec((name, value), 0..4)
}

proptest! {
    #[test]
    fn nobody_without_a_token_gets_credentials(
        listener in 0..4usize,
        method in prop_oneof![Just("GET"), Just("HEAD"), Just("PUT")],
        path in path(),
        headers in headers(),
        is_last: bool,
        has_credentials: bool,
    ) {
        let mut scene = match has_credentials {
            true => Scene::new(),
            false => Scene::without_credentials(),
        };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let outcome = scene.outcome(listener, method, &path, &headers, is_last);
        let Outcome::Done(response) = outcome else {
            return Err(TestCaseError::fail("it waits for credentials"));
        };
        let answer = Answer::from(response);
        prop_assert!([200, 400, 401, 403, 404, 405].contains(&answer.status), "{:?}", answer);
        prop_assert!(!answer.body.contains("secret/") && !answer.body.contains("token=="));
        prop_assert_eq!(scene.hub.borrow().asked + scene.lab.borrow().asked, 0);
    }
}
