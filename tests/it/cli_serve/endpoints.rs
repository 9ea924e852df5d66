use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use keystead::sandbox::Fault;

use super::client::request;
use super::*;

#[test]
fn container_credentials() {
    let scene = Scene::new();
    let serving = scene.serve(&["--listen=127.0.0.1:0"]);
    let path = serving.all("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")[0];
    assert_eq!(Path::new(path), scene.token_path());
    assert_eq!(mode(&scene.token_path()), 0o600);
    let token = scene.token();
    assert_eq!(token.trim(), token);
    let url = serving.container();
    let answer = ask("GET", url, &[("Authorization", &token)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let credentials = answer.json();
    assert!(
        credentials["AccessKeyId"]
            .as_str()
            .is_some_and(|id| id.starts_with("ASIA"))
    );
    assert_eq!(
        credentials["AccountId"],
        scene.sandbox.config().account.id.as_str()
    );
    let expiration = credentials["Expiration"].as_str().expect("text");
    assert_eq!((expiration.len(), &expiration[19..]), (20, "Z"));
    // The query is not the path.
    let with_query = format!("{url}?a=b");
    assert_eq!(
        ask("GET", &with_query, &[("Authorization", &token)]).json(),
        credentials
    );
    let head = ask("HEAD", url, &[("Authorization", &token)]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(ask("GET", url, &[]).status, 401);
    assert_eq!(ask("GET", url, &[("Authorization", "wrong")]).status, 403);
    assert_eq!(
        ask("GET", &format!("{url}x"), &[("Authorization", &token)]).status,
        404
    );
    assert_eq!(ask("PUT", url, &[("Authorization", &token)]).status, 405);
    assert_eq!(scene.sandbox.session_requests().len(), 1);
}

#[test]
fn instance_metadata() {
    let scene = Scene::new();
    let serving = scene.serve(&["--listen=none", "--imds=127.0.0.1:0"]);
    assert!(serving.all("AWS_CONTAINER_CREDENTIALS_FULL_URI").is_empty());
    assert!(!scene.token_path().exists());
    let endpoint = serving.imds();
    assert!(endpoint.starts_with("http://127.0.0.1:") && endpoint.ends_with('/'));
    let role = get_imds(endpoint, ROLES);
    assert_eq!(
        (role.status, role.body.as_str()),
        (200, scene.role(0).as_str())
    );
    assert_eq!(
        role.header("X-aws-ec2-metadata-token-ttl-seconds"),
        Some("21600")
    );
    // As AWS CLI 2.9 has it, and as others have it with an endpoint that ends with a slash.
    let document = get_imds(endpoint, &format!("/{ROLES}{}", role.body));
    assert_eq!(document.json()["Code"], "Success");
    let region = get_imds(endpoint, "latest/meta-data/placement/region");
    assert_eq!(region.body, scene.sandbox.config().account.region);
    assert_eq!(ask("GET", &format!("{endpoint}{ROLES}"), &[]).status, 401);
    let proxied = [
        ("X-aws-ec2-metadata-token-ttl-seconds", "60"),
        ("X-Forwarded-For", ""),
    ];
    assert_eq!(
        ask("PUT", &format!("{endpoint}latest/api/token"), &proxied).status,
        403
    );
}

#[test]
fn websites_and_their_names_are_refused() {
    let scene = Scene::new();
    let serving = scene.serve(&[
        "--listen=127.0.0.1:0",
        "--imds=127.0.0.1:0",
        "--allow-host=hub.example",
    ]);
    let token = scene.token();
    let container = serving.container();
    let health = container.replace("/credentials/default", "/healthz");
    let imds = format!("{}{ROLES}", serving.imds());
    let imds_token = imds_token(serving.imds());
    let with = |more: &[(&str, &str)], url: &str| {
        let mut headers = vec![
            ("Authorization", token.as_str()),
            ("X-aws-ec2-metadata-token", imds_token.as_str()),
        ];
        headers.extend(more);
        ask("GET", url, &headers).status
    };
    for url in [container, &health, &imds] {
        assert_eq!(with(&[], url), 200, "{url}");
        assert_eq!(with(&[("Host", "localhost:1")], url), 200, "{url}");
        assert_eq!(with(&[("Host", "hub.example")], url), 200, "{url}");
        assert_eq!(with(&[("Host", "rebound.example")], url), 403, "{url}");
        assert_eq!(with(&[("Origin", "http://localhost")], url), 403, "{url}");
    }
}

#[test]
fn a_unix_socket_and_its_users() {
    let scene = Scene::new();
    let serving = scene.serve(&["--listen=127.0.0.1:0", "--socket=socket"]);
    let socket = scene.workshop.path("socket");
    assert_eq!(mode(&socket), 0o600);
    let at_socket = |headers: &[(&str, &str)]| {
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        let request = request("GET", "http://any.name/credentials/default", headers);
        stream.write_all(&request).expect("a reader");
        Answer::read(&mut stream)
    };
    let token = scene.token();
    assert_eq!(at_socket(&[]).status, 401);
    let answer = at_socket(&[("Authorization", &token)]);
    assert!(answer.json()["Token"].is_string());
    drop(serving);
    // What a killed one leaves behind is no obstacle.
    let _next = scene.serve(&["--listen=127.0.0.1:0", "--socket=socket"]);
    assert_eq!(at_socket(&[("Authorization", &token)]).status, 200);
}

#[test]
fn other_users_can_be_kept_out() {
    let scene = Scene::new();
    let us = rustix::process::geteuid().as_raw();
    for (user, status) in [(us, 200), (us + 1, 403)] {
        let serving = scene.serve(&["--listen=127.0.0.1:0", &format!("--allow-uid={user}")]);
        let token = scene.token();
        let answer = ask("GET", serving.container(), &[("Authorization", &token)]);
        assert_eq!(answer.status, status, "{user}");
    }
}

#[test]
fn clients_survive_a_restart() {
    let scene = Scene::new();
    let first = scene.serve(&["--listen=127.0.0.1:0"]);
    let token = scene.token();
    let address = client::parts(first.container()).0.to_string();
    drop(first);
    let again = scene.serve(&[&format!("--listen={address}")]);
    let answer = ask("GET", again.container(), &[("Authorization", &token)]);
    assert_eq!(answer.status, 200);
    drop(again);
    fs::remove_file(scene.token_path()).expect("a file");
    let _other = scene.serve(&["--listen=127.0.0.1:0"]);
    assert_ne!(scene.token(), token);
}

#[test]
fn as_aws_has_it() {
    let scene = Scene::new();
    let helper = scene.workshop.path("aws_signing_helper");
    symlink(env!("CARGO_BIN_EXE_keystead"), &helper).expect("a link");
    let usual = scene.command(&["--port", "0", "--hop-limit", "3"]);
    let mut command = Command::new(&helper);
    command
        .args(usual.get_args())
        .env_clear()
        .current_dir(scene.workshop.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut serving = Serving {
        child,
        exports: vec![],
    };
    let mut said = String::new();
    while !said.contains("ENDPOINT") {
        assert_ne!(stderr.read_line(&mut said).expect("text"), 0, "{said}");
    }
    let (_, endpoint) = said.trim_end().rsplit_once('=').expect("an export");
    let port = endpoint
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .expect("a port");
    let expected = format!(
        "Local server started on port: {port}\nMake it available to the sdk by running:\n\
         export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:{port}/\n"
    );
    assert!(said.ends_with(&expected), "{said}");
    let document = get_imds(endpoint, &format!("{ROLES}{}", scene.role(0)));
    assert_eq!(document.json()["Code"], "Success");
    // Standard output says nothing, and there is no container endpoint.
    serving.child.kill().expect("it runs");
    let mut printed = String::new();
    let stdout = serving.child.stdout.as_mut().expect("a pipe");
    stdout.read_to_string(&mut printed).expect("text");
    assert_eq!(printed, "");
    assert!(!scene.token_path().exists());
}

#[test]
fn an_outage_is_said_and_passes() {
    let scene = Scene::new();
    scene
        .sandbox
        .config()
        .faults
        .add(Fault::Status(500).always());
    let serving = scene.serve(&[
        "--listen=127.0.0.1:0",
        "--imds=127.0.0.1:0",
        "--max-attempts=1",
    ]);
    let token = scene.token();
    let container = || ask("GET", serving.container(), &[("Authorization", &token)]);
    let imds = || get_imds(serving.imds(), &format!("{ROLES}{}", scene.role(0)));
    let answer = container();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["code"], "ServiceUnavailableException");
    let answer = imds();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["Code"], "ServiceUnavailable");
    let health = serving
        .container()
        .replace("/credentials/default", "/healthz");
    assert_eq!(ask("GET", &health, &[]).status, 503);
    scene.sandbox.config().faults.clear();
    let deadline = Instant::now() + core::time::Duration::from_secs(60);
    while container().status != 200 {
        assert!(Instant::now() < deadline, "it does not recover");
        std::thread::sleep(core::time::Duration::from_millis(50));
    }
    assert_eq!(imds().status, 200);
    assert_eq!(ask("GET", &health, &[]).status, 200);
}

#[test]
fn metrics() {
    let scene = Scene::new();
    let serving = scene.serve(&["--listen=127.0.0.1:0"]);
    let token = scene.token();
    ask("GET", serving.container(), &[("Authorization", &token)]);
    let url = serving
        .container()
        .replace("/credentials/default", "/metrics");
    let answer = ask("GET", &url, &[]);
    let value = |name: &str| {
        let line = answer.body.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {answer:?}"));
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok())
    };
    for name in ["credential_expiration", "certificate_expiration"] {
        let name = format!("keystead_{name}_timestamp_seconds{{identity=\"default\"}}");
        assert!(value(&name).is_some_and(|time| time > 1.7e9));
    }
    let name = "keystead_refreshes_total{identity=\"default\",outcome=\"success\"}";
    assert_eq!(value(name), Some(1.0));
}

#[test]
fn debug_shows_what_is_sent_and_no_secrets() {
    let scene = Scene::new();
    let mut serving = scene.serve(&["--listen=127.0.0.1:0", "--debug"]);
    let token = scene.token();
    let answer = ask("GET", serving.container(), &[("Authorization", &token)]);
    let document = answer.json();
    serving.child.kill().expect("it runs");
    let mut said = String::new();
    let stderr = serving.child.stderr.as_mut().expect("a pipe");
    stderr.read_to_string(&mut said).expect("text");
    assert!(
        said.contains("--- string to sign\nAWS4-X509-ECDSA-SHA256"),
        "{said}"
    );
    assert!(said.contains("default: credentials until "), "{said}");
    let secrets = ["SecretAccessKey", "Token"].map(|name| document[name].as_str());
    for secret in secrets.into_iter().chain([Some(token.as_str())]) {
        assert!(!said.contains(secret.expect("text")));
    }
}
