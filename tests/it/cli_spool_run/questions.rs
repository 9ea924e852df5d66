use super::*;

#[test]
fn status_is_told_by_whoever_delivers_and_by_the_spool_itself() {
    let scene = Scene::new();
    scene
        .command(&["status"])
        .failed(2, "there is no spool in ");
    assert!(!scene.folder().exists());

    scene.add("a.csv", "reading");
    let status = scene.status();
    assert_eq!(status["running"], false);
    assert_eq!(status["entries"], 1, "{status}");
    assert!(status["oldest"].is_u64(), "{status}");
    assert!(status["delivery"].is_null(), "{status}");
    let text = scene.command(&["status"]).stdout;
    assert!(
        text.contains(": 1 entries, ") || text.contains(": 1 entry, "),
        "{text}"
    );
    assert!(
        text.contains("`keystead spool run` is not running"),
        "{text}"
    );

    let delivering = scene.run(&["--max-size", "1GiB"]);
    scene.arrives("a.csv", "reading");
    let status = until("it is told", || {
        let status = scene.status();
        (status["delivery"]["delivered"] == 1).then_some(status)
    });
    assert_eq!(status["running"], true);
    assert_eq!(status["entries"], 0, "{status}");
    assert_eq!(status["max_bytes"], 1 << 30, "{status}");
    assert_eq!(status["delivery"]["delivered_bytes"], 7, "{status}");
    assert_eq!(status["delivery"]["identity"], "default", "{status}");
    assert!(status["delivery"]["session_expires"].is_u64(), "{status}");
    let text = scene.command(&["status"]).stdout;
    assert!(text.contains("1 delivered (7 B) since "), "{text}");

    // What it knew is still told when it has ended.
    assert!(delivering.end().0.success());
    let status = scene.status();
    assert_eq!(status["running"], false);
    assert_eq!(status["delivery"]["delivered"], 1, "{status}");
}

#[test]
fn prometheus_is_told() {
    let scene = Scene::new();
    let _delivering = scene.run(&["--max-size", "1GiB"]);
    scene.add("a.csv", "reading");
    scene.arrives("a.csv", "reading");
    let metrics = until("it is counted", || {
        let metrics = scene.ask("/metrics");
        metrics
            .contains("\nkeystead_spool_delivered_total 1\n")
            .then_some(metrics)
    });
    for line in [
        "Content-Type: text/plain; version=0.0.4",
        "# TYPE keystead_spool_entries gauge\nkeystead_spool_entries 0\n",
        "keystead_spool_bytes_limit 1073741824\n",
        "keystead_spool_delivered_bytes_total 7\n",
        "keystead_spool_failures_total{reason=\"network\"} 0\n",
        "keystead_refreshes_total{identity=\"default\",outcome=\"success\"} 1\n",
        "keystead_build_info{version=",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(scene.ask("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(scene.ask("/elsewhere").starts_with("HTTP/1.1 404 "));
}

#[test]
fn what_is_set_aside_is_listed_sent_again_or_deleted() {
    let scene = Scene::new();
    // Somebody has put other things there, which are not to be replaced.
    let there = scene.hub.workshop.path("objects/sensor-logs/sensors");
    fs::create_dir_all(&there).expect("a folder");
    for name in ["a.csv", "b.csv"] {
        fs::write(there.join(name), "another").expect("an object");
        scene.hub.workshop.write(name, "reading");
        let to = "s3://sensor-logs/sensors/{name}";
        let added = scene.command(&["add", name, "--to", to, "--if-none-match"]);
        assert_eq!(added.code, 0, "{}", added.stderr);
    }
    let delivering = scene.run(&[]);
    delivering.says("is set aside: PreconditionFailed");
    until("both are", || scene.entries().is_empty().then_some(()));
    let listed = scene.command(&["status", "--aside"]).stdout;
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(listed.contains("PreconditionFailed: "), "{listed}");
    let id = listed.split(' ').next().expect("an id").to_owned();
    scene
        .command(&["retry"])
        .failed(2, "nobody says which entries");
    scene
        .command(&["retry", "ffffffffffff"])
        .failed(2, "no entry `ffffffffffff` is set aside");
    let retried = scene.command(&["retry", &id[..8]]);
    assert_eq!(
        (retried.code, retried.stdout.as_str()),
        (0, "1 entry is sent again\n")
    );
    // Nothing has changed.
    until("it is set aside again", || {
        (scene.status()["aside"] == 2).then_some(())
    });
    let dropped = scene.command(&["drop", "--all"]);
    assert_eq!(dropped.stdout, "2 entries are deleted\n");
    assert_eq!(scene.command(&["status", "--aside"]).stdout, "");
    assert_eq!(scene.status()["bytes"], 0);
}
