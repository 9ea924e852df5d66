use super::*;
use std::io::{BufRead as _, BufReader};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;

/// All records that have arrived, sorted.
fn arrived(scene: &Scene) -> Vec<String> {
    let Ok(files) = fs::read_dir(scene.hub.workshop.path("objects/sensor-logs/sensors")) else {
        return vec![];
    };
    let files = files.map(|file| file.expect("an object").path());
    let objects = files.filter(|path| path.extension().is_some_and(|kind| kind == "ndjson"));
    let texts: Vec<String> = objects
        .map(|path| fs::read_to_string(path).expect("text"))
        .collect();
    let mut records: Vec<String> = texts
        .iter()
        .flat_map(|text| text.lines())
        .map(String::from)
        .collect();
    records.sort();
    records
}

fn connect(scene: &Scene) -> UnixStream {
    UnixStream::connect(scene.hub.workshop.path("r.sock")).expect("a socket")
}

#[test]
fn records_of_many_programs_arrive_in_few_objects() {
    let scene = Scene::new();
    let delivering = scene.run(&[
        "--record-socket",
        "r.sock",
        "--group-commit",
        "--batch-age",
        "1s",
    ]);
    let mode = fs::metadata(scene.hub.workshop.path("r.sock"))
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    std::thread::scope(|scope| {
        for program in 0..8 {
            let mut peer = connect(&scene);
            scope.spawn(move || {
                let mut answers = BufReader::new(peer.try_clone().expect("a socket")).lines();
                for number in 1..=50 {
                    writeln!(peer, "[{program},{number}]").expect("it takes it");
                    let answer = answers.next().expect("an answer").expect("text");
                    assert_eq!(
                        answer,
                        format!("{{\"lines\":{number},\"accepted\":{number}}}")
                    );
                }
            });
        }
    });
    let mut expected: Vec<String> = (0..8)
        .flat_map(|program| (1..=50).map(move |number| format!("[{program},{number}]")))
        .collect();
    expected.sort();
    until("all arrive", || (arrived(&scene) == expected).then_some(()));
    assert!(scene.uploads().len() < 20);
    let (status, log) = delivering.end();
    assert!(status.success(), "{log}");
    assert!(!scene.hub.workshop.path("r.sock").exists());
}

/// What was answered is there after SIGKILL; the socket that is left behind is replaced.
#[test]
fn nothing_that_was_answered_is_lost_by_kill_9() {
    let scene = Scene::new();
    let arguments = ["--record-socket", "r.sock", "--batch-records", "40"];
    let mut accepted = vec![];
    for round in 0..6_usize {
        let delivering = scene.run(&arguments);
        let mut peer = connect(&scene);
        let mut answers = BufReader::new(peer.try_clone().expect("a socket")).lines();
        for number in 0..(round * 17 + 3) {
            writeln!(peer, "\"{round}-{number}\"").expect("it takes it");
            answers.next().expect("an answer").expect("text");
            accepted.push(format!("\"{round}-{number}\""));
        }
        writeln!(peer, "\"perhaps\"").expect("it takes it");
        drop(delivering);
    }
    let delivering = scene.run(&arguments);
    accepted.sort();
    until("all arrive", || {
        let mut found = arrived(&scene);
        found.retain(|record| record != "\"perhaps\"");
        found.dedup();
        (found == accepted).then_some(())
    });
    delivering.end();
}

#[test]
fn at_the_end_the_open_batch_becomes_an_entry() {
    let scene = Scene::new();
    let delivering = scene.run(&[
        "--record-socket",
        "r.sock",
        "--s3-endpoint",
        "http://127.0.0.1:1",
    ]);
    let mut peer = connect(&scene);
    writeln!(peer, "{{\"a\":1}}\nno record").expect("it takes it");
    peer.shutdown(Shutdown::Write).expect("a socket");
    let answers: Vec<String> = BufReader::new(peer)
        .lines()
        .map(|line| line.expect("text"))
        .collect();
    assert!(
        answers[0].starts_with("{\"line\":2,\"error\":\"it is not JSON"),
        "{answers:?}"
    );
    assert_eq!(answers[1], "{\"lines\":2,\"accepted\":1}");
    delivering.says("1 of its records were accepted and 1 lines refused");
    delivering.end();
    assert_eq!(scene.entries().len(), 1);
    assert_eq!(
        fs::read_dir(scene.folder().join("records"))
            .expect("a folder")
            .count(),
        0
    );
}
