use super::*;

const TOKEN_PATH: &str = "/latest/api/token";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const HEADER: &str = "X-aws-ec2-metadata-token";

impl Scene {
    #[track_caller]
    fn token(&mut self, listener: usize) -> String {
        let answer = self.answer(listener, "PUT", TOKEN_PATH, &[(TTL, "21600")]);
        assert_eq!((answer.status, answer.content_type), (200, "text/plain"));
        assert_eq!(answer.header(TTL), Some("21600"));
        answer.body
    }

    /// A request with a new token.
    #[track_caller]
    fn imds(&mut self, path: &str) -> Answer {
        let token = self.token(IMDS);
        self.get(IMDS, path, &[(HEADER, &token)])
    }
}

#[test]
fn a_token_is_asked_for_with_its_life() {
    let mut scene = Scene::new();
    for ttl in ["1", "60", "21600", "00060"] {
        let answer = scene.answer(IMDS, "PUT", TOKEN_PATH, &[(TTL, ttl)]);
        assert_eq!(answer.status, 200, "{ttl}");
        assert_eq!(answer.header(TTL), Some(ttl.trim_start_matches('0')));
    }
    for ttl in [
        "",
        "0",
        "21601",
        "-1",
        "+60",
        "1.5",
        "1h",
        " 60",
        "99999999999999",
    ] {
        let answer = scene.answer(IMDS, "PUT", TOKEN_PATH, &[(TTL, ttl)]);
        assert_eq!(answer.status, 400, "{ttl}");
        assert_eq!(answer.header(TTL), None);
    }
    assert_eq!(scene.answer(IMDS, "PUT", TOKEN_PATH, &[]).status, 400);
}

#[test]
fn token_paths() {
    let mut scene = Scene::new();
    let status =
        |scene: &mut Scene, method, path| scene.answer(IMDS, method, path, &[(TTL, "60")]).status;
    assert_eq!(status(&mut scene, "PUT", "//latest/api/token/"), 200);
    for path in [
        "/2021-03-23/api/token",
        "/1.0/api/token",
        "/2009-04-04/api/token/",
    ] {
        let expected = if path.starts_with("/2") { 403 } else { 404 };
        assert_eq!(status(&mut scene, "PUT", path), expected, "{path}");
    }
    let answer = scene.get(IMDS, TOKEN_PATH, &[(TTL, "60")]);
    assert_eq!((answer.status, answer.header("Allow")), (405, Some("PUT")));
}

#[test]
fn nothing_without_a_valid_token() {
    let mut scene = Scene::new();
    let of_another_process = Scene::new().token(IMDS);
    for path in [
        "/",
        "/latest",
        "/latest/meta-data/",
        ROLES,
        &format!("{ROLES}SensorWriter"),
        "/latest/meta-data/placement/region",
        "/latest/dynamic/instance-identity/document",
        "/nothing",
    ] {
        for headers in [
            &[][..],
            &[(HEADER, "")],
            &[(HEADER, "wrong")],
            &[(HEADER, of_another_process.as_str())],
            &[("Authorization", TOKEN)],
        ] {
            let answer = scene.get(IMDS, path, headers);
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header(TTL), None);
        }
    }
    // Nobody who has no token makes credentials be fetched.
    assert_eq!(scene.hub.borrow().asked, 0);
}

#[test]
fn proxies_are_refused_everywhere() {
    let mut scene = Scene::new();
    let token = scene.token(IMDS);
    for value in ["203.0.113.9", "", "127.0.0.1"] {
        let put = [(TTL, "60"), ("X-Forwarded-For", value)];
        assert_eq!(scene.answer(IMDS, "PUT", TOKEN_PATH, &put).status, 403);
        let get = [(HEADER, token.as_str()), ("x-forwarded-for", value)];
        assert_eq!(scene.get(IMDS, ROLES, &get).status, 403);
    }
}

#[test]
fn the_role_and_its_document() {
    let mut scene = Scene::new();
    for path in [ROLES, ROLES.trim_end_matches('/')] {
        let answer = scene.imds(path);
        assert_eq!((answer.status, answer.body.as_str()), (200, "SensorWriter"));
        assert_eq!(answer.header(TTL), Some("21600"));
    }
    for name in ["SensorWriter", "SensorWriter/", "Sensor%57riter"] {
        let answer = scene.imds(&format!("{ROLES}{name}"));
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(answer.header(TTL), Some("21600"));
        assert_eq!(
            answer.json(),
            serde_json::json!({
                "Code": "Success",
                "LastUpdated": NOW,
                "Type": "AWS-HMAC",
                "AccessKeyId": "ASIA0",
                "SecretAccessKey": "secret/0+\"",
                "Token": "token==0",
                "Expiration": EXPIRATION,
            })
        );
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut scene = Scene::new();
    for path in [
        "/latest/meta-data/iam/security-credentials-extended/",
        "/latest/meta-data/iam/security-credentials-extended/SensorWriter",
        "/latest/meta-data/iam/security-credentials/Other",
        "/latest/meta-data/iam/security-credentials/sensorwriter",
        "/latest/meta-data/iam/security-credentials/hubs/SensorWriter",
        "/latest/meta-data/iam/security-credentials/%zz",
        "/latest/meta-data/iam/security-credentialsSensorWriter",
        "/latest/user-data",
        "/latest/meta-data/instance-id",
        "/metrics",
        "/healthz",
        "/credentials/hub",
        "/",
    ] {
        let answer = scene.imds(path);
        assert_eq!(answer.status, 404, "{path}");
        // It is echoed on every answer to a valid token.
        assert_eq!(answer.header(TTL), Some("21600"), "{path}");
    }
}

#[test]
fn where_programs_look_for_the_region() {
    let mut scene = Scene::new();
    for (path, text) in [
        ("/latest/meta-data/placement/region", "eu-west-1"),
        ("/latest/meta-data/placement/region/", "eu-west-1"),
        (
            "/latest/meta-data/placement/availability-zone",
            "eu-west-1a",
        ),
        (
            "/latest/meta-data/placement/availability-zone/",
            "eu-west-1a",
        ),
    ] {
        let answer = scene.imds(path);
        assert_eq!((answer.status, answer.body.as_str()), (200, text), "{path}");
    }
    let answer = scene.imds("/latest/dynamic/instance-identity/document");
    let document: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(document["region"], "eu-west-1");
    assert_eq!(document["accountId"], "111122223333");
}

#[test]
fn other_methods() {
    let mut scene = Scene::new();
    let token = scene.token(IMDS);
    let with = [(HEADER, token.as_str())];
    let answer = scene.answer(IMDS, "PUT", ROLES, &with);
    assert_eq!(
        (answer.status, answer.header("Allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(answer.header(TTL), Some("21600"));
    assert_eq!(scene.answer(IMDS, "HEAD", ROLES, &with).status, 200);
    assert_eq!(scene.answer(IMDS, "PUT", ROLES, &[]).status, 401);
}

#[test]
fn each_identity_has_its_own_service() {
    let mut scene = Scene::new();
    let token = scene.token(IMDS_OF_LAB);
    let path = format!("{ROLES}SensorWriter");
    let answer = scene.get(IMDS_OF_LAB, &path, &[(HEADER, &token)]);
    assert_eq!(answer.json()["AccessKeyId"], "ASIA1");
}

#[test]
fn a_request_waits_for_the_first_credentials() {
    let mut scene = Scene::without_credentials();
    let token = scene.token(IMDS);
    let with = [(HEADER, token.as_str())];
    // The role is configured: nothing has to be waited for.
    assert_eq!(scene.get(IMDS, ROLES, &with).body, "SensorWriter");
    let path = format!("{ROLES}SensorWriter");
    let outcome = scene.outcome(IMDS, "GET", &path, &with, false);
    assert!(matches!(outcome, Outcome::Wait));
    scene.hub.borrow_mut().live = Some(Arc::new(credentials(7)));
    assert_eq!(scene.get(IMDS, &path, &with).json()["AccessKeyId"], "ASIA7");
}

#[test]
fn without_credentials_the_answer_says_why() {
    let mut scene = Scene::without_credentials();
    let token = scene.token(IMDS);
    let with = [(HEADER, token.as_str())];
    let path = format!("{ROLES}SensorWriter");
    let last = scene.outcome(IMDS, "GET", &path, &with, true);
    let Outcome::Done(response) = last else {
        panic!("it still waits");
    };
    let answer = Answer::from(response);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header(TTL), Some("21600"));
    assert_eq!(answer.json()["Code"], "ServiceUnavailable");
    for (kind, code) in [
        (FailureKind::Temporary, "ServiceUnavailable"),
        (FailureKind::Throttled, "Throttling"),
        (FailureKind::Lasting, "AssumeRoleUnauthorizedAccess"),
    ] {
        scene.hub.borrow_mut().failure = Some(failure(kind));
        // The refresh has failed: there is nothing to wait for.
        let answer = scene.get(IMDS, &path, &with);
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.json(),
            serde_json::json!({
                "Code": code,
                "Message": "the service says \"no\"",
                "LastUpdated": NOW,
            })
        );
    }
}

#[test]
fn a_failed_refresh_takes_nothing_away() {
    let mut scene = Scene::new();
    scene.hub.borrow_mut().failure = Some(failure(FailureKind::Lasting));
    let answer = scene.imds(&format!("{ROLES}SensorWriter"));
    assert_eq!(answer.json()["AccessKeyId"], "ASIA0");
    // What has expired is not handed out, whatever was answered before.
    scene.hub.borrow_mut().live = None;
    assert_eq!(scene.imds(&format!("{ROLES}SensorWriter")).status, 503);
}

#[test]
fn new_credentials_are_another_document() {
    let mut scene = Scene::new();
    let path = format!("{ROLES}SensorWriter");
    assert_eq!(scene.imds(&path).json()["AccessKeyId"], "ASIA0");
    let mut new = credentials(8);
    new.role_arn = "arn:aws:iam::111122223333:role/Another".into();
    scene.hub.borrow_mut().live = Some(Arc::new(new));
    // Who has read the old name may go on.
    assert_eq!(scene.imds(&path).json()["AccessKeyId"], "ASIA8");
    assert_eq!(scene.imds(ROLES).body, "Another");
    let mut unnamed = credentials(9);
    unnamed.role_arn.clear();
    scene.lab.borrow_mut().live = Some(Arc::new(unnamed));
    let token = scene.token(IMDS_OF_LAB);
    let role = scene.get(IMDS_OF_LAB, ROLES, &[(HEADER, &token)]);
    assert_eq!(role.body, "SensorWriter");
    assert_eq!(
        scene.imds(&format!("{ROLES}Another")).json()["AccessKeyId"],
        "ASIA8"
    );
}
