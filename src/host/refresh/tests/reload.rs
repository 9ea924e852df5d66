use std::fs;
use std::path::Path;

use super::*;

const LASTING: FailureKind = FailureKind::Lasting;

/// A refresher in use, whose files are these.
fn with_files(folder: &Path) -> Sim {
    let files = vec![folder.join("cert.pem"), folder.join("key.pem")];
    for file in &files {
        fs::write(file, "first").unwrap();
    }
    let mut sim = Sim::with(minutes(60), |world| world.files = files);
    sim.using(minutes(1));
    assert_eq!(sim.events(), ["begun"]);
    sim
}

fn write(folder: &Path, name: &str, content: &str) {
    let new = folder.join("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

#[test]
fn a_new_pair_proves_itself_and_replaces_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = with_files(folder.path());
    write(folder.path(), "cert.pem", "second");
    sim.shore.lock().pair = Ok("second".into());
    sim.using(minutes(2));
    assert_eq!(sim.key().as_deref(), Some("second 2"));
    assert_eq!(sim.events(), ["reloaded"]);
    assert_eq!(sim.shared.status().generation, 2);
    sim.using(minutes(30));
    assert_eq!(sim.opened(), 2);
}

#[test]
fn a_pair_that_is_written_in_two_steps_is_not_told_broken() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = with_files(folder.path());
    write(folder.path(), "cert.pem", "second");
    sim.shore.lock().pair = Err(LASTING);
    // Somebody looks in the middle of it.
    sim.using(Duration::from_secs(20));
    assert_eq!(sim.key().as_deref(), Some("first 1"));
    write(folder.path(), "key.pem", "second");
    sim.shore.lock().pair = Ok("second".into());
    sim.using(minutes(2));
    assert_eq!(sim.key().as_deref(), Some("second 2"));
    assert_eq!(sim.events(), ["reloaded"]);
}

#[test]
fn a_broken_pair_is_told_once_and_the_old_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = with_files(folder.path());
    write(folder.path(), "cert.pem", "broken");
    sim.shore.lock().pair = Err(LASTING);
    sim.using(minutes(200));
    assert_eq!(sim.events(), ["refused: this is no pair"]);
    assert!(sim.key().unwrap().starts_with("first"));
    let opened = sim.opened();
    assert!(opened <= 3, "opened {opened} times");
    let status = sim.shared.status();
    assert_eq!((status.failures, status.reloads_refused), (0, 1));

    write(folder.path(), "cert.pem", "mended");
    sim.shore.lock().pair = Ok("mended".into());
    sim.using(minutes(2));
    assert!(sim.key().unwrap().starts_with("mended"));
    assert_eq!(sim.events(), ["reloaded"]);
}

#[test]
fn what_the_service_refuses_does_not_replace_what_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = with_files(folder.path());
    sim.service(|pair| match pair {
        "first" => Ok(()),
        _ => Err(LASTING),
    });
    write(folder.path(), "cert.pem", "second");
    sim.shore.lock().pair = Ok("second".into());
    sim.using(minutes(2));
    assert_eq!(sim.key().as_deref(), Some("first 1"));
    assert_eq!(sim.events(), ["refused: the service does not like second"]);
    assert_eq!(sim.using(minutes(200)), 0);
    assert!(sim.events().is_empty());
}

#[test]
fn what_cannot_be_proven_now_is_proven_later_and_the_old_one_goes_on() {
    let mut sim = Sim::in_use(minutes(60));
    // Another endpoint, which does not answer.
    sim.service(|pair| match pair {
        "first" => Ok(()),
        _ => Err(FailureKind::Temporary),
    });
    sim.shore.lock().pair = Ok("second".into());
    sim.reload();
    assert_eq!(sim.using(minutes(240)), 0);
    assert_eq!(
        sim.events(),
        ["begun", "refused: the service does not like second"]
    );
    let asked = sim.asked();
    assert!(asked < 40, "{asked} requests in four hours");
    sim.service(|_| Ok(()));
    sim.using(minutes(16));
    assert!(sim.key().unwrap().starts_with("second"));
    assert_eq!(sim.events(), ["reloaded"]);
}

#[test]
fn a_reload_opens_anew_and_asks_at_once() {
    let mut sim = Sim::in_use(minutes(60));
    sim.shore.lock().pair = Ok("second".into());
    sim.reload();
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("second 2"));
    sim.shore.lock().pair = Err(LASTING);
    sim.reload();
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("second 2"));
    assert_eq!(
        sim.events(),
        ["begun", "reloaded", "refused: this is no pair"]
    );
}

#[test]
fn a_reload_ends_the_wait_after_a_failure() {
    let mut sim = Sim::new(minutes(60));
    sim.service(|_| Err(LASTING));
    sim.using(minutes(120));
    sim.service(|_| Ok(()));
    sim.reload();
    sim.turn();
    assert!(sim.key().is_some());
}

#[test]
fn a_device_is_looked_at_before_a_refresh_every_few_hours() {
    let mut sim = Sim::with(minutes(60), |world| world.has_device = true);
    sim.using(minutes(350));
    assert_eq!(sim.opened(), 1);
    sim.using(minutes(60));
    // The same certificate: what is open stays.
    assert_eq!(sim.opened(), 2);
    assert_eq!(sim.shared.status().generation, 1);
    sim.shore.lock().pair = Ok("renewed".into());
    sim.using(minutes(420));
    assert!(sim.key().unwrap().starts_with("renewed"));
    assert_eq!(sim.events(), ["begun", "reloaded"]);
}

#[test]
fn what_has_failed_for_good_is_opened_anew() {
    let mut sim = Sim::in_use(minutes(60));
    // The device lost its session; who opens it again gets another.
    sim.service(|pair| match pair {
        "first" => Err(LASTING),
        _ => Ok(()),
    });
    sim.shore.lock().pair = Ok("again".into());
    assert_eq!(sim.using(minutes(60)), 0);
    assert!(sim.key().unwrap().starts_with("again"));
    assert_eq!(sim.events(), ["begun", "failed: Lasting", "begun"]);
}

#[test]
fn who_comes_back_gets_what_is_in_the_files_now() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = with_files(folder.path());
    sim.pass(minutes(300));
    write(folder.path(), "cert.pem", "second");
    sim.shore.lock().pair = Ok("second".into());
    assert_eq!(sim.key(), None);
    sim.turn();
    assert!(sim.key().unwrap().starts_with("second"));
}
