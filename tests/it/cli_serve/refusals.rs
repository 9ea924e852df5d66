use std::net::TcpListener;

use super::*;
use crate::support::program::run;

#[test]
fn what_cannot_be_opened_ends_the_program() {
    let scene = Scene::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    for (more, code, says) in [
        (&["--key=missing.key"][..], 3, "missing.key"),
        (&["--certificate=missing.pem"], 3, "missing.pem"),
        (
            &[&format!("--listen={taken}")],
            1,
            "another program listens there",
        ),
        (
            &["--listen=none", &format!("--imds={taken}")],
            1,
            "IMDS cannot be at",
        ),
        (
            &["--listen=127.0.0.1:0", "--socket=hub.pem"],
            1,
            "the socket hub.pem cannot be made",
        ),
        (
            &["--listen=127.0.0.1:0", "--token-file=run"],
            1,
            "something else than a file",
        ),
        (
            &["--listen=127.0.0.1:0", "--token-file=no/such/place"],
            1,
            "--token-file FILE",
        ),
    ] {
        let ran = run(&mut scene.command(&[&["--listen=127.0.0.1:0"], more].concat()));
        ran.failed(code, says);
    }
    let mut nowhere = scene.command(&["--listen=127.0.0.1:0"]);
    let ran = run(nowhere.env_remove("XDG_RUNTIME_DIR"));
    ran.failed(2, "neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR");
    let ran = run(&mut scene.command(&["--listen=127.0.0.1:0", "--token-group=0"]));
    ran.failed(2, "where no group can enter");
    assert_eq!(scene.sandbox.session_requests().len(), 0);
}

#[test]
fn other_machines_come_only_with_everything_that_they_need() {
    let scene = Scene::new();
    let remote = &["--listen=0.0.0.0:0"][..];
    let allowed = &["--listen=0.0.0.0:0", "--allow-remote"];
    let tls = &["--tls-cert=hub.pem", "--tls-key=hub.key"];
    let with = |parts: &[&[&'static str]]| parts.concat();
    for (more, says) in [
        (with(&[remote]), "--allow-remote"),
        (
            with(&[&["--bind=192.0.2.1"]]),
            "other machines reach 192.0.2.1:9912",
        ),
        (with(&[&["--listen=[::]:0"]]), "other machines reach [::]:0"),
        (with(&[allowed]), "--tls-cert and --tls-key"),
        (
            with(&[allowed, &tls[..1]]),
            "tls-cert and tls-key go together",
        ),
        (with(&[allowed, tls]), "--allow-host names it"),
        (with(&[allowed, tls, &["--imds"]]), "IMDS is not for them"),
        (with(&[tls]), "leave them out"),
        (with(&[&["--imds=0.0.0.0:9911"]]), "IMDS at 0.0.0.0:9911"),
        (
            with(&[allowed, tls, &["--imds=192.0.2.1:80"]]),
            "IMDS at 192.0.2.1:80",
        ),
        (
            with(&[&["--bind=192.0.2.1", "--port=9911"]]),
            "IMDS at 192.0.2.1:9911",
        ),
    ] {
        let more: Vec<&str> = more;
        run(&mut scene.command(&more)).failed(2, says);
    }
}

#[test]
fn values_that_mean_nothing() {
    let scene = Scene::new();
    for (more, says) in [
        ("--listen=9912", "--listen: `9912`"),
        ("--listen=localhost:9912", "--listen: `localhost:9912`"),
        ("--imds=maybe", "--imds: `maybe`"),
        ("--imds=hub=127.0.0.1:9911", "the identity hub is not among"),
        ("--bind=here", "--bind: `here`"),
        ("--port=65536", "--port"),
        ("--port=x", "--port"),
        ("--hop-limit=0", "--hop-limit: `0`"),
        ("--hop-limit=256", "--hop-limit: `256`"),
        ("--allow-uid=nobody-of-that-name", "/etc/passwd"),
        ("--token-group=none-of-that-name", "/etc/group"),
        ("--allow-host=a b", "--allow-host: `a b`"),
        ("--allow-remote=maybe", "--allow-remote: `maybe`"),
        ("--identity=a/b", "--identity: `a/b`"),
        ("--identity=none", "none"),
    ] {
        run(&mut scene.command(&[more])).failed(2, says);
    }
    let mut command = scene.command(&[]);
    let ran = run(command.env("KEYSTEAD_SERVE_HOP_LIMIT", "x"));
    ran.failed(2, "KEYSTEAD_SERVE_HOP_LIMIT: `x`");
}
