//! Who is taken for the server, and who is not.

use device_tls::signature::{Host, P256};
use device_tls::{ConnectError, Refused};

use keystead::ca::{Authority, KeyType, PrivateKey, Subject, Template, Usage, Validity};
use keystead::core::time::UnixTime;

use crate::client::{ask, now, refusal};
use crate::servers::{Credential, DAY, HOST, Server, root, template, valid};

#[test]
fn a_server_of_the_root_is_trusted() {
    let mut root = root("CN=root");
    let server = Server::start(&Credential::of(&mut root, HOST));
    ask(server.address, HOST, root.root(), now(), P256).unwrap();
}

#[test]
fn so_is_one_of_an_authority_below_it_with_the_root_and_more_in_the_chain() {
    let mut root = root("CN=root");
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let name = "CN=middle".parse().unwrap();
    let mut middle = root.new_intermediate(name, &key, valid()).unwrap();
    let mut credential = Credential::of(&mut middle, HOST);
    credential.chain.push(root.root().to_vec());
    credential
        .chain
        .push(b"what is of no use is not read".to_vec());
    let server = Server::start(&credential);
    ask(server.address, HOST, root.root(), now(), P256).unwrap();
}

#[test]
fn names_may_be_long_and_have_an_asterisk() {
    let long = format!(
        "vpce-{}.rolesanywhere.eu-west-1.vpce.amazonaws.com",
        "0".repeat(58)
    );
    let mut root = root("CN=root");
    let server = Server::start(&Credential::of(&mut root, &long));
    ask(server.address, &long, root.root(), now(), P256).unwrap();
    let server = Server::start(&Credential::of(&mut root, "*.s3.example"));
    ask(server.address, "logs.s3.example", root.root(), now(), P256).unwrap();
}

#[test]
fn other_kinds_of_keys_need_a_verifier_that_knows_them() {
    let mut root = root("CN=root");
    let template = template(Usage::Server, HOST, valid());
    for key in [KeyType::P384, KeyType::Rsa2048] {
        let credential = Credential::issued(&mut root, &template, key);
        let server = Server::start(&credential);
        ask(server.address, HOST, root.root(), now(), Host).unwrap();
    }
    let credential = Credential::issued(&mut root, &template, KeyType::P384);
    let server = Server::start(&credential);
    let refused = refusal(ask(server.address, HOST, root.root(), now(), P256));
    assert_eq!(refused, Refused::Signature);
}

#[test]
fn a_wrong_name() {
    let mut root = root("CN=root");
    for shown in ["other.example", "*.hub.example", "*.example.org"] {
        let server = Server::start(&Credential::of(&mut root, shown));
        let refused = refusal(ask(server.address, HOST, root.root(), now(), P256));
        assert_eq!(refused, Refused::OtherName, "{shown}");
    }
    // A common name alone says nothing.
    let subject = format!("CN={HOST}").parse().unwrap();
    let template = Template::new(Usage::Server, subject, valid());
    let server = Server::start(&Credential::issued(&mut root, &template, KeyType::P256));
    let refused = refusal(ask(server.address, HOST, root.root(), now(), P256));
    assert_eq!(refused, Refused::OtherName);
}

#[test]
fn a_wrong_root() {
    let (mut theirs, ours) = (root("CN=theirs"), root("CN=ours"));
    let server = Server::start(&Credential::of(&mut theirs, HOST));
    let refused = refusal(ask(server.address, HOST, ours.root(), now(), P256));
    assert_eq!(refused, Refused::UnknownRoot);
    // Of the same name, with another key; and the root itself in the chain proves nothing.
    let (mut theirs, ours) = (root("CN=root"), root("CN=root"));
    let mut credential = Credential::of(&mut theirs, HOST);
    credential.chain.push(theirs.root().to_vec());
    let server = Server::start(&credential);
    let refused = refusal(ask(server.address, HOST, ours.root(), now(), P256));
    assert_eq!(refused, Refused::UnknownRoot);
}

/// Whoever has a server's certificate of the root makes one for another server with it.
#[test]
fn a_certificate_that_is_signed_by_one_that_is_no_authoritys() {
    let mut root = root("CN=root");
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    // The same name and key as an authority of its own making, whose leaf is exactly what it would be.
    let name: Subject = "CN=server".parse().unwrap();
    let mut impostor = Authority::new_root(name, &key, 0, valid()).unwrap();
    for usage in [Usage::Server, Usage::Client] {
        let own = template(usage, "own.example", valid());
        let own = root
            .certify(&own, key.signer().unwrap().public_key())
            .unwrap();
        let mut credential = Credential::of(&mut impostor, HOST);
        credential.chain.truncate(1);
        credential.chain.push(own);
        let server = Server::start(&credential);
        let refused = refusal(ask(server.address, HOST, root.root(), now(), P256));
        assert_eq!(refused, Refused::NotAnAuthority, "{usage:?}");
    }
}

#[test]
fn more_authorities_than_the_first_allows() {
    let key = || PrivateKey::generate(KeyType::P256).unwrap();
    let name = |name: &str| name.parse().unwrap();
    let mut root = root("CN=root");
    let mut one = root
        .new_intermediate(name("CN=one"), &key(), valid())
        .unwrap();
    let mut two = one
        .new_intermediate(name("CN=two"), &key(), valid())
        .unwrap();
    let server = Server::start(&Credential::of(&mut two, HOST));
    let refused = refusal(ask(server.address, HOST, root.root(), now(), P256));
    assert_eq!(refused, Refused::PathTooLong);
}

#[test]
fn a_certificate_out_of_its_time() {
    let mut root = root("CN=root");
    let secs = |offset: i64| now().offset_by(offset);
    let ended = Validity {
        not_before: secs(-200),
        not_after: secs(-100),
    };
    let begins = Validity {
        not_before: secs(3600),
        not_after: secs(7200),
    };
    for (validity, reason) in [
        (ended, Refused::Expired(ended.not_after)),
        (begins, Refused::NotYetValid(begins.not_before)),
    ] {
        let template = template(Usage::Server, HOST, validity);
        let credential = Credential::issued(&mut root, &template, KeyType::P256);
        let server = Server::start(&credential);
        let refused = refusal(ask(server.address, HOST, root.root(), now(), P256));
        assert_eq!(refused, reason);
    }
    // A device that has not learned the time yet.
    let server = Server::start(&Credential::of(&mut root, HOST));
    let unset = UnixTime::from_secs(0);
    let refused = refusal(ask(server.address, HOST, root.root(), unset, P256));
    assert!(matches!(refused, Refused::NotYetValid(_)), "{refused:?}");
    assert!(refused.to_string().contains("is the clock set?"));
}

/// An authority below the root that has expired, above a certificate that has not.
#[test]
fn an_authority_out_of_its_time() {
    let mut root = root("CN=root");
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let name = "CN=middle".parse().unwrap();
    let mut middle = root.new_intermediate(name, &key, valid()).unwrap();
    let later = now().offset_by(2 * DAY.as_secs() as i64);
    let long = Validity {
        not_before: now(),
        not_after: later,
    };
    // As in the test above: the leaf outlives its issuer, which `middle` itself would not sign.
    let mut outliving = Authority::new_root(middle.subject().clone(), &key, 0, long).unwrap();
    let mut credential = Credential::issued(
        &mut outliving,
        &template(Usage::Server, HOST, long),
        KeyType::P256,
    );
    credential.chain = vec![
        credential.chain.swap_remove(0),
        middle.certificate().to_vec(),
    ];
    let server = Server::start(&credential);
    let refused = refusal(ask(server.address, HOST, root.root(), later, P256));
    assert_eq!(refused, Refused::Expired(middle.validity().not_after));
    let server = Server::start(&Credential::of(&mut middle, HOST));
    ask(server.address, HOST, root.root(), now(), P256).unwrap();
}

#[test]
fn a_certificate_that_is_not_for_servers() {
    let mut root = root("CN=root");
    for usage in [Usage::Client, Usage::Authority { path_len: 0 }] {
        let template = template(usage, HOST, valid());
        let credential = Credential::issued(&mut root, &template, KeyType::P256);
        let server = Server::start(&credential);
        let refused = refusal(ask(server.address, HOST, root.root(), now(), P256));
        assert_eq!(refused, Refused::Usage, "{usage:?}");
    }
}

/// Certificates are public: what counts is the key.
#[test]
fn the_certificate_of_somebody_else() {
    let mut root = root("CN=root");
    let mut credential = Credential::of(&mut root, HOST);
    credential.key = PrivateKey::generate(KeyType::P256).unwrap();
    let server = Server::start(&credential);
    let refused = refusal(ask(server.address, HOST, root.root(), now(), P256));
    assert_eq!(refused, Refused::Signature);
}

#[test]
fn tls_1_2() {
    let mut root = root("CN=root");
    let credential = Credential::of(&mut root, HOST);
    let server = Server::speaking(&credential, &rustls::version::TLS12);
    let outcome = ask(server.address, HOST, root.root(), now(), P256);
    assert!(matches!(outcome, Err(ConnectError::Tls(_))), "{outcome:?}");
}
