//! `CreateSession`: what is issued, and every refusal.

use std::time::Duration;

use keystead::ca::{Authority, KeyType, PrivateKey, Reason, Revoked, Template, Usage, Validity};
use keystead::core::text::{Base64Text, Hex};
use keystead::core::x509::Certificate;
use serde_json::json;

use super::client::{Headers, Response};
use super::fixture::{Device, Fixture, NOW, Request, add_role, root};

/// What makes a request wrong.
type Spoil = fn(&mut Request<'_>);

/// Checks status, error type, and how the message starts.
fn assert_refused(answer: &Response, status: u16, error_type: &str, message: &str) {
    let given = answer.json()["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(
        (answer.status, answer.header("x-amzn-ErrorType")),
        (status, Some(error_type)),
        "{given}"
    );
    assert!(given.starts_with(message), "{given}");
}

fn assert_denied(answer: &Response, message: &str) {
    assert_refused(answer, 403, "AccessDeniedException", message);
}

#[test]
fn a_session_as_aws_answers_it() {
    let mut fixture = Fixture::new();
    let answer = fixture.send(|_| {});
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    let session = &json["credentialSet"][0];
    let leaf = Certificate::from_der(&fixture.device.chain[0]).unwrap();
    let serial = Hex(leaf.serial).to_string();
    let arn = format!("arn:aws:sts::111122223333:assumed-role/SensorWriter/{serial}");
    assert_eq!(session["assumedRoleUser"]["arn"], arn);
    assert_eq!(
        session["roleArn"],
        "arn:aws:iam::111122223333:role/SensorWriter"
    );
    assert_eq!(session["sourceIdentity"], "CN=hub-17");
    let expiration = NOW.offset_by(1800).to_string();
    assert_eq!(session["credentials"]["expiration"], expiration);
    let key = session["credentials"]["accessKeyId"].as_str().unwrap();
    assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
    let subject = json["subjectArn"].as_str().unwrap();
    assert!(subject.starts_with("arn:aws:rolesanywhere:eu-west-1:111122223333:subject/"));
}

#[test]
fn keys_of_every_kind() {
    for kind in [
        KeyType::P384,
        KeyType::Rsa2048,
        KeyType::MlDsa44,
        KeyType::MlDsa87,
    ] {
        let mut fixture = Fixture::new();
        fixture.device = Device::new(&mut fixture.authority, "CN=hub", kind);
        assert_eq!(fixture.send(|_| {}).status, 201, "{kind}");
    }
}

#[test]
fn what_other_clients_do() {
    let mut fixture = Fixture::new();
    let chunked = ("Transfer-Encoding".to_owned(), "chunked".to_owned());
    assert_eq!(
        fixture
            .send(|request| request.unsigned.push(chunked))
            .status,
        201
    );

    let signed_too = ("Amz-Sdk-Request".to_owned(), "attempt=1;  max=3".to_owned());
    assert_eq!(
        fixture
            .send(|request| request.headers.push(signed_too))
            .status,
        201
    );

    // Envoy writes the duration as a float; a deprecated member is passed over.
    let answer = fixture.send(|request| {
        request.set("durationSeconds", 900.0);
        request.set("sessionName", "x");
    });
    let expiration = &answer.json()["credentialSet"][0]["credentials"]["expiration"];
    assert_eq!(*expiration, NOW.offset_by(900).to_string());

    // The leaf again in the chain, and the root.
    let (leaf, root) = (
        fixture.device.chain[0].clone(),
        fixture.authority.root().to_vec(),
    );
    assert_eq!(
        fixture
            .send(|request| request.send_chain(&[leaf, root]))
            .status,
        201
    );

    // The reference helper's ARNs are in the query.
    let answer = fixture.send(|request| {
        let arns = request.body.take();
        let parameter = |(name, value): (&String, &serde_json::Value)| {
            format!("{name}={}", value.as_str().unwrap().replace(':', "%3A"))
        };
        let query: Vec<_> = arns.as_object().unwrap().iter().map(parameter).collect();
        request.query = format!("?{}", query.join("&"));
        request.body = json!({"durationSeconds": 3600});
    });
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[test]
fn refusals_for_the_signature() {
    let mut fixture = Fixture::new();
    let other_key = PrivateKey::generate(KeyType::P256)
        .unwrap()
        .signer()
        .unwrap();
    let spoil: [Spoil; 9] = [
        |request| request.time = NOW.offset_by(301),
        |request| request.time = NOW.offset_by(-301),
        |request| request.region = "eu-west-2".into(),
        |request| request.service = "iam".into(),
        |request| request.serial = "17".into(),
        |request| request.algorithm = "AWS4-X509-RSA-SHA256".into(),
        |request| {
            let content_type = request.headers.remove(0);
            request.unsigned.push(content_type);
        },
        |request| {
            let host = request.headers.remove(1);
            request.unsigned.push(host);
        },
        |request| request.spoil = Some(|headers| headers[0].1 = "text/json".into()),
    ];
    for (index, spoil) in spoil.into_iter().enumerate() {
        let answer = fixture.send(spoil);
        assert_eq!(answer.status, 403, "{index}");
        assert_denied(&answer, "Invalid signature");
    }
    let answer = fixture.send(|request| *request.signer = other_key);
    assert_denied(&answer, "Invalid signature");

    for edit in [
        |headers: &mut Headers| headers.retain(|(name, _)| name != "Authorization"),
        |headers: &mut Headers| headers.retain(|(name, _)| name != "X-Amz-Date"),
        |headers: &mut Headers| headers.retain(|(name, _)| name != "X-Amz-X509"),
    ] {
        let answer = fixture.send(|request| request.spoil = Some(edit));
        assert_refused(&answer, 403, "IncompleteSignature", "");
    }
}

#[test]
fn refusals_for_the_certificate() {
    let insufficient = "Untrusted certificate. Insufficient certificate";
    let mut fixture = Fixture::new();
    let template = |usage, validity| Template {
        usage,
        subject: "CN=hub-17".parse().unwrap(),
        alternative_names: Vec::new(),
        validity,
    };
    let day = Duration::from_secs(86_400);
    let today = Validity::starting(NOW, day);
    let past = Validity {
        not_before: NOW.offset_by(-200),
        not_after: NOW.offset_by(-1),
    };
    let future = Validity {
        not_before: NOW.offset_by(1),
        not_after: NOW.offset_by(200),
    };
    let authority = Usage::Authority { path_len: 0 };
    for (usage, validity) in [
        (Usage::Client, past),
        (Usage::Client, future),
        (authority, today),
    ] {
        let template = template(usage, validity);
        fixture.device = Device::issue(&mut fixture.authority, &template, KeyType::P256);
        assert_denied(&fixture.send(|_| {}), insufficient);
    }
    let garbage = |headers: &mut Headers| {
        let leaf = headers.iter_mut().find(|(name, _)| name == "X-Amz-X509");
        leaf.unwrap().1 = "MIIB".into();
    };
    let answer = fixture.send(|request| request.spoil = Some(garbage));
    assert_denied(&answer, insufficient);

    // Relaxed rules let an authority pass, but never one that has expired.
    let mut relaxed = Fixture::with(|config| config.certificate_rules = false);
    let template = template(authority, today);
    relaxed.device = Device::issue(&mut relaxed.authority, &template, KeyType::P256);
    assert_eq!(relaxed.send(|_| {}).status, 201);
    relaxed.sandbox.config().clock.advance(86_401);
    let late = NOW.offset_by(86_401);
    assert_denied(&relaxed.send(|request| request.time = late), insufficient);
}

/// An authority below the fixture's.
fn intermediate(root: &mut Authority) -> Authority {
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let validity = Validity::starting(NOW, Duration::from_secs(2 * 86_400));
    root.new_intermediate("CN=Issuing".parse().unwrap(), &key, validity)
        .unwrap()
}

#[test]
fn chains_in_any_order() {
    let untrusted = "Untrusted signing certificate";
    let mut fixture = Fixture::new();
    let mut issuing = intermediate(&mut fixture.authority);
    fixture.device = Device::new(&mut issuing, "CN=hub", KeyType::P256);
    let [leaf, middle] = [0, 1].map(|index| fixture.device.chain[index].clone());
    let root_certificate = fixture.authority.root().to_vec();
    let stray = root("CN=Stray").root().to_vec();

    assert_eq!(fixture.send(|_| {}).status, 201);
    for chain in [
        vec![leaf.clone(), middle.clone()],
        vec![
            root_certificate,
            stray.clone(),
            middle.clone(),
            leaf.clone(),
        ],
    ] {
        assert_eq!(
            fixture.send(|request| request.send_chain(&chain)).status,
            201
        );
    }
    for chain in [
        vec![],
        vec![stray.clone()],
        vec![middle.clone(), b"no certificate".to_vec()],
        vec![
            middle,
            leaf,
            stray.clone(),
            stray.clone(),
            stray.clone(),
            stray,
        ],
    ] {
        let answer = fixture.send(|request| request.send_chain(&chain));
        assert_denied(&answer, untrusted);
    }
}

#[test]
fn only_the_named_anchor_counts() {
    let mut fixture = Fixture::with(|config| {
        let mut other = config.account.trust_anchors[0].clone();
        other.arn = config.account.trust_anchor_arn("other");
        other.certificates = vec![root("CN=Test root").root().to_vec()];
        let disabled = keystead::sandbox::account::TrustAnchor {
            arn: config.account.trust_anchor_arn("disabled"),
            enabled: false,
            ..config.account.trust_anchors[0].clone()
        };
        config.account.trust_anchors.extend([other, disabled]);
    });
    let account = fixture.sandbox.config().account.clone();
    let mut name = |anchor: &str| {
        let arn = account.trust_anchor_arn(anchor);
        fixture.send(|request| request.set("trustAnchorArn", arn))
    };
    assert_denied(&name("other"), "Untrusted signing certificate");
    assert_denied(&name("disabled"), "Untrusted signing certificate");
    let (status, error_type) = (404, "ResourceNotFoundException");
    let message = "Specified Trust Anchor wasn't found.";
    assert_refused(&name("unheard-of"), status, error_type, message);
}

#[test]
fn revocation_takes_effect_at_once() {
    let mut fixture = Fixture::new();
    let leaf = Certificate::from_der(&fixture.device.chain[0]).unwrap();
    let revoked = Revoked {
        serial: leaf.serial.to_vec(),
        at: NOW,
        reason: Reason::KeyCompromise,
    };
    let write = |fixture: &mut Fixture, number, revoked: &[Revoked], pem: bool| {
        let next = NOW.offset_by(3600);
        let list = fixture
            .authority
            .revocation_list(number, revoked, NOW, next);
        let list = list.unwrap();
        let text = format!(
            "-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n",
            Base64Text(&list)
        );
        let contents = if pem { text.into_bytes() } else { list };
        std::fs::write(&fixture.crl, contents).unwrap();
    };
    write(&mut fixture, 1, &[], true);
    assert_eq!(fixture.send(|_| {}).status, 201);
    for (number, pem) in [(2, true), (3, false)] {
        write(&mut fixture, number, std::slice::from_ref(&revoked), pem);
        assert_denied(&fixture.send(|_| {}), "Certificate revoked");
    }

    // A CRL that another authority of the same name signed revokes nothing, and cannot be passed over.
    let authority = std::mem::replace(&mut fixture.authority, root("CN=Test root"));
    write(&mut fixture, 4, &[], true);
    assert_denied(&fixture.send(|_| {}), "Untrusted signing certificate");
    fixture.authority = root("CN=Someone else");
    write(&mut fixture, 5, &[revoked], true);
    assert_eq!(fixture.send(|_| {}).status, 201);
    drop(authority);
}

#[test]
fn refusals_for_profile_and_role() {
    let mut fixture = Fixture::with(|config| {
        add_role(&mut config.account, "Distrustful", |role, _| {
            role.trusts_roles_anywhere = false;
        });
        add_role(&mut config.account, "Brief", |role, profile| {
            role.max_session_seconds = 3600;
            profile.duration_seconds = 7200;
        });
        add_role(&mut config.account, "Disabled", |_, profile| {
            profile.enabled = false;
        });
    });
    let account = fixture.sandbox.config().account.clone();
    let mut assume = |profile: &str, role: &str, seconds: Option<u32>| {
        fixture.send(|request| {
            request.assume(&account, profile, role);
            if let Some(seconds) = seconds {
                request.set("durationSeconds", seconds);
            }
        })
    };
    let unlisted = "Requested Role isn't one of those listed in the Profile.";
    assert_denied(&assume("sensor-hub", "Developer", None), unlisted);
    let unable = "Unable to assume role for arn:aws:iam::111122223333:role/";
    assert_denied(&assume("Distrustful", "Distrustful", None), unable);
    // The role's limit refuses; only a shorter request gets through.
    assert_denied(&assume("Brief", "Brief", None), unable);
    assert_eq!(assume("Brief", "Brief", Some(3600)).status, 201);
    let no_profile = "Invalid or empty profile provided.";
    for profile in ["Disabled", "unheard-of"] {
        let answer = assume(profile, "Disabled", None);
        assert_refused(&answer, 400, "ValidationException", no_profile);
    }
}

#[test]
fn refusals_for_the_parameters() {
    let mut fixture = Fixture::new();
    let spoil: [(Spoil, &str); 9] = [
        (|request| request.body = "not JSON".into(), "The body"),
        (
            |request| request.set("roleArn", 7),
            "roleArn is not a string",
        ),
        (|request| request.set("roleArn", ()), "roleArn is missing"),
        (
            |request| request.set("profileArn", "arn:x"),
            "the profile ARN",
        ),
        (
            |request| request.set("roleArn", "arn:aws:iam::444455556666:role/SensorWriter"),
            "The ARNs have different account IDs",
        ),
        (
            |request| request.query = "?roleArn=other".into(),
            "roleArn differs between query and body",
        ),
        (
            |request| request.set("durationSeconds", 899),
            "durationSeconds has to be between 900 and 43200",
        ),
        (
            |request| request.set("durationSeconds", 1000.5),
            "durationSeconds is not a whole number",
        ),
        (
            |request| request.set("instanceProperties", json!({"": "x"})),
            "instanceProperties",
        ),
    ];
    for (spoil, message) in spoil {
        let answer = fixture.send(spoil);
        assert_refused(&answer, 400, "ValidationException", message);
    }
}

#[test]
fn session_names() {
    let mut fixture = Fixture::new();
    let account = fixture.sandbox.config().account.clone();
    let mut name = |profile: &str, role: &str, name: &str| {
        fixture.send(|request| {
            request.assume(&account, profile, role);
            request.set("roleSessionName", name);
        })
    };
    let answer = name("sensor-hub", "SensorWriter", "bench");
    assert_denied(&answer, "Not authorized to set roleSessionName");
    let answer = name("developer", "Developer", "ann@laptop");
    let arn = &answer.json()["credentialSet"][0]["assumedRoleUser"]["arn"];
    assert_eq!(
        *arn,
        "arn:aws:sts::111122223333:assumed-role/Developer/ann@laptop"
    );
    for bad in ["a", "two words", &"x".repeat(65)] {
        let answer = name("developer", "Developer", bad);
        assert_refused(&answer, 400, "ValidationException", "roleSessionName");
    }
}

#[test]
fn source_identities() {
    for (subject, expected) in [
        (
            format!("CN={}", "c".repeat(61)),
            format!("CN={}", "c".repeat(61)),
        ),
        (format!("CN={}", "c".repeat(62)), "c".repeat(62)),
        ("O=Test".to_owned(), "ID=".to_owned()),
    ] {
        let mut fixture = Fixture::new();
        fixture.device = Device::new(&mut fixture.authority, &subject, KeyType::P256);
        let answer = fixture.send(|_| {}).json();
        let identity = &answer["credentialSet"][0]["sourceIdentity"];
        let identity = identity.as_str().unwrap();
        if expected == "ID=" {
            let leaf = Certificate::from_der(&fixture.device.chain[0]).unwrap();
            assert_eq!(identity, format!("ID={}", Hex(leaf.serial)));
        } else {
            assert_eq!(identity, expected);
        }
    }
}

#[test]
fn heads_of_a_hundred_kilobytes_pass() {
    let mut fixture = Fixture::new();
    fixture.device = Device::new(&mut fixture.authority, "CN=hub", KeyType::MlDsa87);
    let long = ("X-Long".to_owned(), "x".repeat(80_000));
    let answer = fixture.send(|request| request.headers.push(long));
    assert_eq!(answer.status, 201);
}

#[test]
fn an_unknown_operation_is_named() {
    let mut fixture = Fixture::new();
    let mut request = fixture.device.request(&fixture.sandbox);
    request.query = "/1".into();
    let answer = request.send(&fixture.sandbox);
    assert_refused(&answer, 404, "UnknownOperationException", "");
}
