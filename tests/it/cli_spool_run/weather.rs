use keystead::sandbox::{Fault, ScheduledFault};

use super::*;

fn of_s3(fault: &str) -> ScheduledFault {
    format!("s3/{fault}").parse().expect("a fault")
}

#[test]
fn faults_of_the_service_lose_nothing() {
    for fault in ["503:2", "throttle:2", "drop:2", "lose:2", "500:1", "408:1"] {
        let scene = Scene::new();
        scene.hub.sandbox.config().faults.add(of_s3(fault));
        let delivering = scene.run(&[]);
        scene.add("a.csv", "reading");
        scene.arrives("a.csv", "reading");
        assert_eq!(scene.hub.sessions(), 1, "{fault}");
        assert!(scene.uploads().len() >= 2, "{fault}");
        delivering.says("it is tried again in ");
        delivering.says("uploads pass again");
        let status = scene.status();
        assert_eq!(status["aside"], 0, "{fault}: {status}");
        assert!(
            !status["delivery"]["last_error"].is_null(),
            "{fault}: {status}"
        );
    }
}

#[test]
fn without_a_session_everything_waits() {
    let scene = Scene::new();
    let faults = &scene.hub.sandbox.config().faults;
    faults.add("rolesanywhere/500".parse().expect("a fault"));
    scene.add("a.csv", "reading");
    let delivering = scene.run(&[]);
    delivering.says("no new credentials, it is tried again");
    let status = until("it fails", || {
        let status = scene.status();
        (status["delivery"]["failing"] == true).then_some(status)
    });
    assert_eq!(status["entries"], 1, "{status}");
    assert_eq!(scene.uploads().len(), 0);
    faults.clear();
    scene.arrives("a.csv", "reading");
}

#[test]
fn a_session_that_s3_takes_for_over_is_replaced() {
    let scene = Scene::new();
    let faults = &scene.hub.sandbox.config().faults;
    let _delivering = scene.run(&[]);
    // The hub is told half an hour, and S3 knows better.
    faults.add(Fault::Expire(Duration::from_secs(150)).times(1));
    scene.add("a.csv", "reading");
    scene.arrives("a.csv", "reading");
    assert_eq!(scene.hub.sessions(), 1);
    scene.hub.sandbox.config().clock.advance(200);
    scene.add("b.csv", "reading");
    scene.arrives("b.csv", "reading");
    assert_eq!(scene.hub.sessions(), 2);
    assert_eq!(scene.status()["aside"], 0);
}

#[test]
fn a_wrong_clock_costs_one_try() {
    let scene = Scene::of(Scheme::Https);
    let faults = &scene.hub.sandbox.config().faults;
    // Less than the session lives.
    faults.add(of_s3("skew=20m"));
    scene.add("a.csv", "reading");
    let _delivering = scene.run(&["--concurrency", "1"]);
    scene.arrives("a.csv", "reading");
    let statuses: Vec<_> = scene.uploads().iter().map(|put| put.status).collect();
    assert_eq!(statuses, [Some(403), Some(200)]);
    scene.add("b.csv", "reading");
    scene.arrives("b.csv", "reading");
    assert_eq!(scene.uploads().len(), 3);
}

#[test]
fn what_the_policy_refuses_holds_nothing_up() {
    let scene = Scene::new();
    scene.add_to(
        "s3://sensor-logs/elsewhere/{name}",
        "refused.csv",
        "reading",
    );
    for number in 0..5 {
        scene.add(&format!("{number}.csv"), "reading");
    }
    let _delivering = scene.run(&["--concurrency", "1"]);
    until("the others are delivered", || {
        (scene.entries().len() == 1).then_some(())
    });
    for number in 0..5 {
        assert!(scene.object(&format!("sensors/{number}.csv")).is_some());
    }
    // It is tried once more before it is set aside.
    let refused = scene
        .uploads()
        .iter()
        .filter(|put| put.status == Some(403))
        .count();
    assert_eq!(refused, 1);
    let status = scene.status();
    assert_eq!(
        (&status["entries"], &status["aside"]),
        (&1.into(), &0.into()),
        "{status}"
    );
    let error = status["delivery"]["last_error"]["what"]
        .as_str()
        .expect("an error");
    assert!(error.contains("elsewhere/refused.csv"), "{error}");
}
