use super::*;

#[test]
fn a_renewed_pair_of_another_kind_takes_over() {
    let mut hub = Hub::new();
    hub.using(minutes(5));
    let expires = hub.refresher.status().certificate_expires;
    hub.workshop
        .key("renewed", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    hub.workshop.certificate("renewed", "root", "-sha256", LEAF);

    // The certificate first: for a while the two do not go together.
    hub.replace("hub.pem", "renewed.pem");
    hub.using(Duration::from_secs(60));
    assert!(hub.credentials().is_some());
    hub.replace("hub.key", "renewed.key");
    hub.using(minutes(3));
    let last = hub.sandbox.session_requests().pop().unwrap();
    let authorization = last.header("authorization").unwrap();
    assert!(
        authorization.starts_with("AWS4-X509-RSA-SHA256"),
        "{authorization}"
    );
    assert_eq!(hub.refresher.status().generation, 2);
    assert!(hub.refresher.status().certificate_expires >= expires);
    // And back to another kind.
    hub.workshop.key("third", P256);
    hub.workshop.certificate("third", "root", "-sha256", LEAF);
    hub.replace("hub.key", "third.key");
    hub.replace("hub.pem", "third.pem");
    hub.using(minutes(3));
    let last = hub.sandbox.session_requests().pop().unwrap();
    let authorization = last.header("authorization").unwrap();
    assert!(
        authorization.starts_with("AWS4-X509-ECDSA-SHA256"),
        "{authorization}"
    );
    let said = hub.said();
    assert_eq!(said.last().unwrap(), "reloaded");
    assert_eq!(hub.using(minutes(60)), 0);
}

#[test]
fn a_broken_pair_is_told_once_and_the_old_one_goes_on() {
    let mut hub = Hub::new();
    hub.using(minutes(5));
    hub.workshop.key("other", P256);
    hub.replace("hub.key", "other.key");
    assert_eq!(hub.using(minutes(120)), 0);
    let said = hub.said();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with("refused: "), "{said:?}");
    assert!(said[1].contains("hub.pem"), "{said:?}");
    let status = hub.refresher.status();
    assert_eq!((status.failures, status.reloads_refused), (0, 1));
}

#[test]
fn a_certificate_that_the_service_does_not_know_does_not_replace_one_that_it_does() {
    let mut hub = Hub::new();
    hub.using(minutes(5));
    hub.workshop.key("stranger", P256);
    hub.workshop
        .certificate("stranger", "stranger", "-sha256", CA);
    hub.workshop.key("unknown", P256);
    hub.workshop
        .certificate("unknown", "stranger", "-sha256", LEAF);
    hub.replace("hub.key", "unknown.key");
    hub.replace("hub.pem", "unknown.pem");
    assert_eq!(hub.using(minutes(120)), 0);
    let said = hub.said();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[1].starts_with("refused: AccessDeniedException"),
        "{said:?}"
    );
}

#[test]
fn files_that_are_swapped_by_a_link_are_seen() {
    let mut hub = Hub::new();
    let at = |name: &str| hub.workshop.path(name);
    fs::create_dir(at("1")).unwrap();
    fs::create_dir(at("2")).unwrap();
    hub.workshop.key("second", P256);
    hub.workshop.certificate("second", "root", "-sha256", LEAF);
    for (folder, name) in [("1", "hub"), ("2", "second")] {
        for end in ["pem", "key"] {
            fs::copy(
                at(&format!("{name}.{end}")),
                at(&format!("{folder}/hub.{end}")),
            )
            .unwrap();
        }
    }
    std::os::unix::fs::symlink("1", at("data")).unwrap();
    for file in ["hub.pem", "hub.key"] {
        fs::remove_file(at(file)).unwrap();
        std::os::unix::fs::symlink(format!("data/{file}"), at(file)).unwrap();
    }
    hub.using(minutes(5));
    std::os::unix::fs::symlink("2", hub.workshop.path("data.new")).unwrap();
    fs::rename(hub.workshop.path("data.new"), hub.workshop.path("data")).unwrap();
    hub.using(minutes(3));
    assert_eq!(hub.said(), ["begun", "reloaded"]);
}
