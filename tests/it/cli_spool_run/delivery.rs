use super::*;

#[test]
fn what_is_added_arrives_and_a_session_is_begun_only_for_that() {
    let scene = Scene::new();
    let delivering = scene.run(&[]);
    assert_eq!(scene.hub.sessions(), 0);
    for number in 0..20 {
        scene.add(&format!("{number}.csv"), &format!("reading {number}"));
    }
    for number in 0..20 {
        scene.arrives(&format!("{number}.csv"), &format!("reading {number}"));
    }
    assert_eq!(scene.hub.sessions(), 1);
    assert_eq!(scene.uploads().len(), 20);
    let (status, log) = delivering.end();
    assert!(status.success(), "{log}");
    assert!(!log.contains("warning"), "{log}");
    assert!(!scene.folder().join("run.socket").exists());
}

#[test]
fn what_waits_is_sent_oldest_first() {
    let scene = Scene::new();
    for name in ["c", "a", "b"] {
        scene.add(name, name);
    }
    let _delivering = scene.run(&["--concurrency", "1"]);
    scene.arrives("b", "b");
    let uploads = scene.uploads();
    let keys: Vec<_> = uploads.iter().map(|put| put.target.as_str()).collect();
    assert_eq!(
        keys,
        ["c", "a", "b"].map(|name| format!("/sensor-logs/sensors/{name}"))
    );
}

#[test]
fn credentials_of_the_environment_do() {
    let scene = Scene::new();
    let credentials = run(&mut scene.hub.command(&["credential-process"]));
    let credentials: Value = serde_json::from_str(&credentials.stdout).expect("JSON");
    scene.add("a.csv", "reading");
    let command = || {
        let mut command = scene.spool(&["run", "--credentials", "environment"]);
        for (variable, field) in [
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("AWS_SESSION_TOKEN", "SessionToken"),
        ] {
            command.env(variable, credentials[field].as_str().expect("text"));
        }
        command
            .env_remove("KEYSTEAD_KEY")
            .env("KEYSTEAD_PUSH_S3_REGION", "eu-west-1");
        command
    };
    run(command().env_remove("AWS_SECRET_ACCESS_KEY"))
        .failed(2, "AWS_SECRET_ACCESS_KEY is not set");
    let sessions = scene.hub.sessions();
    let _delivering = Delivering::start(&mut command(), scene.hub.workshop.path("run.log"));
    scene.arrives("a.csv", "reading");
    assert_eq!(scene.hub.sessions(), sessions);
}

#[test]
fn a_spool_is_delivered_by_one_alone() {
    let scene = Scene::new();
    let delivering = scene.run(&[]);
    scene
        .command(&["run"])
        .failed(1, "is being delivered by another process");
    scene.add("a.csv", "reading");
    scene.arrives("a.csv", "reading");
    drop(delivering);
    // One that was killed leaves its socket, and nobody minds.
    assert!(scene.folder().join("run.socket").exists());
    scene.add("b.csv", "reading");
    let _delivering = scene.run(&[]);
    scene.arrives("b.csv", "reading");
}

#[test]
fn nothing_is_sent_while_the_window_is_closed() {
    let scene = Scene::new();
    scene.add("a.csv", "reading");
    // Two hours from now, for an hour.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let hour = |after: u64| (now / 3600 + after) % 24;
    let window = |from, to| format!("{:02}:00-{:02}:00", hour(from), hour(to));
    let closed = scene.run(&["--between", &window(2, 3)]);
    closed.says("the upload window is closed for ");
    let status = scene.status();
    let opens = status["delivery"]["window_opens_in_seconds"].as_u64();
    assert!(
        opens.is_some_and(|opens| (3600..7800).contains(&opens)),
        "{status}"
    );
    assert!(
        scene
            .command(&["status"])
            .stdout
            .contains("the upload window opens in ")
    );
    let (status, log) = closed.end();
    assert!(status.success(), "{log}");
    assert_eq!((scene.uploads().len(), scene.hub.sessions()), (0, 0));
    // The one that is open began long enough ago for every machine.
    let _delivering = scene.run(&["--between", &window(22, 2)]);
    scene.arrives("a.csv", "reading");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_opened() {
    let scene = Scene::new();
    for (arguments, says) in [
        (["--between", "1-5"], "01:00-05:00 is one, in UTC"),
        (
            ["--metrics", "0.0.0.0:9913"],
            "other machines reach this address",
        ),
        (["--concurrency", "0"], "from 1 to 64"),
        (["--part-size", "1MiB"], "S3 takes parts from"),
        (["--path-style", "--virtual-host"], "both given"),
    ] {
        let all: Vec<&str> = ["run"].into_iter().chain(arguments).collect();
        scene.command(&all).failed(2, says);
    }
    assert!(!scene.folder().exists());
}
