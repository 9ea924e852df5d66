use super::*;

#[test]
fn health() {
    let mut scene = Scene::without_credentials();
    let idle = serde_json::json!({ "status": "idle", "expiration": null });
    let ok = serde_json::json!({ "status": "ok", "expiration": EXPIRATION });
    let check = |scene: &mut Scene, status: u16, word: &str, hub: &Value, lab: &Value| {
        let answer = scene.get(CONTAINER, "/healthz", &[]);
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.json(),
            serde_json::json!({ "status": word, "identities": { "hub": hub, "lab": lab } })
        );
    };
    // Nobody has asked yet: nothing is wrong.
    check(&mut scene, 200, "ok", &idle, &idle);
    scene.hub.borrow_mut().live = Some(Arc::new(credentials(0)));
    check(&mut scene, 200, "ok", &ok, &idle);
    scene.hub.borrow_mut().failure = Some(failure(FailureKind::Temporary));
    let failing = serde_json::json!({ "status": "failing", "expiration": EXPIRATION });
    check(&mut scene, 200, "ok", &failing, &idle);
    scene.hub.borrow_mut().live = None;
    let unavailable = serde_json::json!({ "status": "unavailable", "expiration": null });
    check(&mut scene, 503, "unavailable", &unavailable, &idle);
    // Asking how it is does not make credentials be fetched.
    assert_eq!(scene.hub.borrow().asked, 0);
    let answer = scene.answer(CONTAINER, "PUT", "/healthz", &[]);
    assert_eq!(
        (answer.status, answer.header("Allow")),
        (405, Some("GET, HEAD"))
    );
}

/// A sample of the text format: name, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

/// Reads the format strictly: families with HELP and TYPE before their samples, each name of its family,
/// no sample twice.
fn parsed(text: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = vec![];
    let mut family = "";
    let mut families = vec![];
    assert!(text.ends_with('\n'));
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') && !families.contains(&name), "{line}");
            let kind = lines.next().unwrap();
            let kind = kind.strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["gauge", "counter", "summary"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(name.starts_with("keystead_"), "{line}");
            families.push(name);
            family = name;
            continue;
        }
        // Only a summary's samples have names of their own.
        let suffix = ["_sum", "_count"]
            .into_iter()
            .find(|suffix| line.starts_with(&format!("{family}{suffix}{{")));
        let name = format!("{family}{}", suffix.unwrap_or_default());
        let (labels, value) = line
            .strip_prefix(&name)
            .and_then(|rest| rest.strip_prefix('{'))
            .and_then(|rest| rest.rsplit_once("} "))
            .unwrap_or_else(|| panic!("{line}"));
        let labels = labels.split(',').map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            (name.to_string(), value.unwrap().to_string())
        });
        let sample = (name, labels.collect(), value.parse().unwrap());
        assert!(
            !samples
                .iter()
                .any(|other| (&other.0, &other.1) == (&sample.0, &sample.1))
        );
        samples.push(sample);
    }
    samples
}

#[track_caller]
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let is_it = |sample: &&Sample| {
        let known = sample.1.iter().map(|(name, value)| (&**name, &**value));
        sample.0 == format!("keystead_{name}") && known.eq(labels.iter().copied())
    };
    samples.iter().find(is_it).map(|sample| sample.2)
}

#[test]
fn metrics() {
    let mut scene = Scene::new();
    scene.lab.borrow_mut().live = None;
    scene.get(CONTAINER, "/credentials/hub", &[]);
    scene.get(CONTAINER, "/credentials/hub", &[("Authorization", TOKEN)]);
    scene.get(CONTAINER, "/credentials/hub", &[("Authorization", TOKEN)]);
    scene.get(IMDS, "/latest/", &[]);
    scene.get(CONTAINER, "/healthz", &[]);
    let answer = scene.get(CONTAINER, "/metrics", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.content_type,
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let samples = parsed(&answer.body);
    let expiration = |name| {
        value(
            &samples,
            "credential_expiration_timestamp_seconds",
            &[("identity", name)],
        )
    };
    assert_eq!(expiration("hub"), Some(time(EXPIRATION).as_secs() as f64));
    assert_eq!(expiration("lab"), Some(0.0));
    for (name, outcome, count) in [
        ("refreshes_total", "success", 3.0),
        ("refreshes_total", "temporary", 1.0),
        ("refreshes_total", "throttled", 2.0),
        ("refreshes_total", "lasting", 0.0),
        ("signatures_total", "success", 5.0),
        ("signatures_total", "failure", 1.0),
    ] {
        let labels = [("identity", "hub"), ("outcome", outcome)];
        assert_eq!(value(&samples, name, &labels), Some(count), "{outcome}");
    }
    let hub = [("identity", "hub")];
    for (name, expected) in [
        ("signature_seconds_sum", Some(1.5)),
        ("signature_seconds_count", Some(6.0)),
        ("reloads_refused_total", Some(4.0)),
        ("pin_tries_left", Some(2.0)),
    ] {
        assert_eq!(value(&samples, name, &hub), expected, "{name}");
    }
    let lab = [("identity", "lab")];
    assert_eq!(value(&samples, "pin_tries_left", &lab), None);
    for (endpoint, code, count) in [
        ("container", "200", 2.0),
        ("container", "401", 1.0),
        ("imds", "401", 1.0),
        ("healthz", "200", 1.0),
    ] {
        let labels = [("endpoint", endpoint), ("code", code)];
        assert_eq!(
            value(&samples, "http_requests_total", &labels),
            Some(count),
            "{endpoint}"
        );
    }
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(value(&samples, "build_info", &version), Some(1.0));
    for secret in ["secret/", "token==", TOKEN] {
        assert!(!answer.body.contains(secret));
    }
    let again = parsed(&scene.get(CONTAINER, "/metrics", &[]).body);
    let labels = [("endpoint", "metrics"), ("code", "200")];
    assert_eq!(value(&again, "http_requests_total", &labels), Some(1.0));
}
