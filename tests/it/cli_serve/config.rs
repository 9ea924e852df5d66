use std::fmt::Write as _;

use super::*;
use crate::support::hub::identity;
use crate::support::program::run;

impl Scene {
    /// A file with the identities `hub` and `lab`, and `[serve]` as given; the command that reads it.
    fn configured(&self, serve: &str, arguments: &[&str]) -> Command {
        let mut text = String::new();
        for (index, name) in ["hub", "lab"].into_iter().enumerate() {
            writeln!(text, "[identity.{name}]").expect("text");
            for (key, value) in identity(&self.sandbox, index) {
                writeln!(text, "{key} = \"{value}\"").expect("text");
            }
        }
        writeln!(text, "[serve]\n{serve}").expect("text");
        self.workshop.write("keystead.toml", text);
        let mut command = self.bare(arguments);
        command.env("KEYSTEAD_CONFIG", "keystead.toml");
        command
    }
}

#[test]
fn several_identities_each_with_its_path_and_its_port() {
    let scene = Scene::new();
    let serve = "identities = [\"hub\", \"lab\"]\nlisten = \"127.0.0.1:0\"\n\
                 imds = [\"lab=127.0.0.1:0\", \"hub=127.0.0.1:0\"]\ntoken-file = \"token\"";
    let serving = Serving::start(&mut scene.configured(serve, &["serve"]));
    // A path in the file is relative to the file.
    let token = fs::read_to_string(scene.workshop.path("token")).expect("a token");
    let urls = serving.all("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    assert_eq!(urls.len(), 2);
    for (index, name) in ["hub", "lab"].into_iter().enumerate() {
        assert!(urls[index].ends_with(&format!("/credentials/{name}")));
        let answer = ask("GET", urls[index], &[("Authorization", &token)]);
        let role = answer.json()["RoleArn"].as_str().expect("text").to_string();
        assert!(role.ends_with(&format!("/{}", scene.role(index))), "{role}");
    }
    let endpoints = serving.all("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    assert_eq!(endpoints.len(), 2);
    for (endpoint, role) in endpoints.into_iter().zip([1, 0]) {
        assert_eq!(get_imds(endpoint, ROLES).body, scene.role(role));
        let other = get_imds(endpoint, &format!("{ROLES}{}", scene.role(1 - role)));
        assert_eq!(other.status, 404);
    }
    assert_eq!(scene.sandbox.session_requests().len(), 2);
}

#[test]
fn flags_before_variables_before_the_file() {
    let scene = Scene::new();
    let serve = "identities = [\"lab\", \"hub\"]\nlisten = \"127.0.0.1:1\"\nimds = true";
    let flags = ["serve", "--identity=hub", "--imds=false"];
    let mut command = scene.configured(serve, &flags);
    let serving = Serving::start(command.env("KEYSTEAD_SERVE_LISTEN", "127.0.0.1:0,[::1]:0"));
    let urls = serving.all("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    assert_eq!(urls.len(), 2, "{urls:?}");
    assert!(urls[0].starts_with("http://127.0.0.1:") && urls[0].ends_with("/credentials/hub"));
    assert!(urls[1].starts_with("http://[::1]:"));
    assert!(serving.all("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_empty());
    let token = scene.token();
    for url in urls {
        assert_eq!(
            ask("GET", url, &[("Authorization", &token)]).status,
            200,
            "{url}"
        );
    }
}

#[test]
fn the_file_is_checked() {
    let scene = Scene::new();
    for (serve, says) in [
        ("identities = [\"hob\"]", "did you mean `hub`?"),
        ("identites = [\"hub\"]", "did you mean `identities`?"),
        ("", "it has several identities: hub, lab"),
        (
            "identities = [\"hub\", \"hub\"]",
            "the identity hub is given twice",
        ),
        (
            "identities = [\"hub\"]\nhop-limit = 999",
            "keystead.toml, line 17: `999`",
        ),
    ] {
        run(&mut scene.configured(serve, &["serve"])).failed(2, says);
    }
}

#[test]
fn an_only_identity_needs_no_naming_but_a_name_for_its_path() {
    let scene = Scene::new();
    for (name, is_path) in [("hub-17", true), ("'hub 17'", false)] {
        let mut text = format!("[identity.{name}]\n");
        for (key, value) in identity(&scene.sandbox, 0) {
            writeln!(text, "{key} = \"{value}\"").expect("text");
        }
        scene.workshop.write("keystead.toml", text);
        let mut command = scene.bare(&["serve", "--listen=127.0.0.1:0"]);
        command.env("KEYSTEAD_CONFIG", "keystead.toml");
        if is_path {
            let serving = Serving::start(&mut command);
            assert!(serving.container().ends_with("/credentials/hub-17"));
        } else {
            run(&mut command).failed(2, "the identity `hub 17`: its name becomes part of a path");
        }
    }
}

#[test]
fn config_check_shows_it() {
    let scene = Scene::new();
    let serve = "identities = [\"hub\", \"lab\"]\nimds = true\nallow-uid = [0, 1]";
    let mut command = scene.configured(serve, &["config", "check"]);
    let ran = run(command.env("KEYSTEAD_SERVE_TOKEN_GROUP", "0"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr, "");
    let (_, text) = ran
        .stdout
        .split_once("keystead serve\n\n")
        .expect("a part of its own");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows,
        [
            vec!["identities", "hub,", "lab", "keystead.toml,", "line", "16"],
            vec!["imds", "true", "keystead.toml,", "line", "17"],
            vec!["token-group", "0", "KEYSTEAD_SERVE_TOKEN_GROUP"],
            vec!["allow-uid", "0,", "1", "keystead.toml,", "line", "18"],
        ]
    );
}
