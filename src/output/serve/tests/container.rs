use super::*;

const PATH: &str = "/credentials/hub";
const WITH: [(&str, &str); 1] = [("Authorization", TOKEN)];

#[test]
fn the_document_of_each_identity() {
    let mut scene = Scene::new();
    for (path, id) in [
        (PATH, "ASIA0"),
        ("/credentials/hub/", "ASIA0"),
        ("/credentials/%68ub", "ASIA0"),
        ("/credentials/lab", "ASIA1"),
    ] {
        let answer = scene.get(CONTAINER, path, &WITH);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json()["AccessKeyId"], id, "{path}");
    }
    assert_eq!(
        scene.get(CONTAINER, PATH, &WITH).json(),
        serde_json::json!({
            "AccessKeyId": "ASIA0",
            "SecretAccessKey": "secret/0+\"",
            "Token": "token==0",
            "Expiration": EXPIRATION,
            "AccountId": "111122223333",
            "RoleArn": ROLE,
        })
    );
    assert_eq!(scene.answer(CONTAINER, "HEAD", PATH, &WITH).status, 200);
}

#[test]
fn only_with_the_token() {
    let mut scene = Scene::new();
    for (headers, status, code) in [
        (&[][..], 401, "MissingAuthenticationTokenException"),
        (&[("Authorization", "")], 403, "AccessDeniedException"),
        (
            &[("Authorization", "Bearer x")],
            403,
            "AccessDeniedException",
        ),
        (
            &[("Authorization", &TOKEN[1..])],
            403,
            "AccessDeniedException",
        ),
        (
            &[("X-aws-ec2-metadata-token", TOKEN)],
            401,
            "MissingAuthenticationTokenException",
        ),
    ] {
        // Without it nobody learns which identities there are, either.
        for path in [PATH, "/credentials/none", "/"] {
            let answer = scene.get(CONTAINER, path, headers);
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.json()["code"], code);
            assert!(answer.json()["message"].is_string());
        }
    }
    assert_eq!(scene.hub.borrow().asked, 0);
}

#[test]
fn a_role_without_its_arn() {
    let mut scene = Scene::new();
    let mut unnamed = credentials(9);
    unnamed.role_arn.clear();
    scene.hub.borrow_mut().live = Some(Arc::new(unnamed));
    let document = scene.get(CONTAINER, PATH, &WITH).json();
    assert_eq!(document["AccessKeyId"], "ASIA9");
    assert_eq!(document.as_object().unwrap().len(), 4);
}

#[test]
fn another_token() {
    let mut scene = Scene::new();
    let other = TOKEN.replace('0', "a");
    scene.site.authorize(Authorization::new(&other).unwrap());
    assert_eq!(scene.get(CONTAINER, PATH, &WITH).status, 403);
    let with = [("Authorization", other.as_str())];
    assert_eq!(scene.get(CONTAINER, PATH, &with).status, 200);
}

#[test]
fn other_paths_and_methods() {
    let mut scene = Scene::new();
    for path in [
        "/",
        "/credentials",
        "/credentials/none",
        "/credentials/hub/x",
        "/hub",
        "/credentialshub",
        "/latest/api/token",
    ] {
        let answer = scene.get(CONTAINER, path, &WITH);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["code"], "ResourceNotFoundException");
    }
    let answer = scene.answer(CONTAINER, "PUT", PATH, &WITH);
    assert_eq!(
        (answer.status, answer.header("Allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(answer.json()["code"], "MethodNotAllowedException");
}

#[test]
fn waiting_and_failing() {
    let mut scene = Scene::without_credentials();
    let outcome = scene.outcome(CONTAINER, "GET", PATH, &WITH, false);
    assert!(matches!(outcome, Outcome::Wait));
    let Outcome::Done(response) = scene.outcome(CONTAINER, "GET", PATH, &WITH, true) else {
        panic!("it still waits");
    };
    let answer = Answer::from(response);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["code"], "ServiceUnavailableException");
    for (kind, code) in [
        (FailureKind::Temporary, "ServiceUnavailableException"),
        (FailureKind::Throttled, "ThrottlingException"),
        (FailureKind::Lasting, "ServiceUnavailableException"),
    ] {
        scene.hub.borrow_mut().failure = Some(failure(kind));
        let answer = scene.get(CONTAINER, PATH, &WITH);
        let expected = serde_json::json!({ "code": code, "message": "the service says \"no\"" });
        assert_eq!((answer.status, answer.json()), (503, expected));
    }
    // The next attempt is under way: it may succeed.
    scene.hub.borrow_mut().is_busy = true;
    let outcome = scene.outcome(CONTAINER, "GET", PATH, &WITH, false);
    assert!(matches!(outcome, Outcome::Wait));
    // The other identity has its own failures.
    scene.lab.borrow_mut().live = Some(Arc::new(credentials(1)));
    assert_eq!(scene.get(CONTAINER, "/credentials/lab", &WITH).status, 200);
}

#[test]
fn the_same_document_is_not_written_twice() {
    let mut scene = Scene::new();
    let body = |scene: &mut Scene| match scene.outcome(CONTAINER, "GET", PATH, &WITH, false) {
        Outcome::Done(Response {
            body: Body::Shared(body),
            ..
        }) => body,
        other => panic!("{other:?}"),
    };
    let first = body(&mut scene);
    assert!(Arc::ptr_eq(&first, &body(&mut scene)));
    scene.hub.borrow_mut().live = Some(Arc::new(credentials(0)));
    assert!(!Arc::ptr_eq(&first, &body(&mut scene)));
}
