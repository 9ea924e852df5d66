//! What goes wrong, and what is said and done then.

use keystead::sandbox::ScheduledFault;

use super::{Bench, succeeded};

fn faults(bench: &Bench, faults: &[&str]) {
    for fault in faults {
        let fault: ScheduledFault = fault.parse().expect("a fault");
        bench.hub.sandbox.config().faults.add(fault);
    }
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let bench = Bench::new();
    bench.write("a.json", b"a");
    bench.write("c.json", b"c");
    let ran = bench.push(&["a.json", "missing", "c.json", "s3://sensor-logs/sensors/"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.stderr,
        "keystead: missing: No such file or directory (os error 2)\n"
    );
    assert_eq!(ran.stdout.lines().count(), 2);
    assert_eq!(bench.objects().len(), 2);
}

#[test]
fn bad_weather_passes() {
    let bench = Bench::new();
    for index in 0..5 {
        bench.write(&format!("d/{index}"), &[index; 3000]);
    }
    faults(
        &bench,
        &["s3/503:2", "s3/drop:1@2", "s3/lose:1@3", "s3/throttle:1@4"],
    );
    let ran = bench.push(&["--recursive", "d", "s3://sensor-logs/sensors/"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("it is tried again, for 1 min 0 s more at most"),
        "{}",
        ran.stderr
    );
    assert_eq!(bench.objects().len(), 5);
}

#[test]
fn patience_ends_and_the_rest_is_not_tried() {
    let bench = Bench::new();
    for index in 0..4 {
        bench.write(&format!("d/{index}"), b"x");
    }
    faults(&bench, &["s3/503"]);
    let ran = bench.push(&[
        "--recursive",
        "--concurrency=1",
        "--timeout=700ms",
        "d",
        "s3://sensor-logs/sensors/",
    ]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("keystead: d/0: "), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("3 more were not tried"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "");
    assert!(bench.objects().is_empty());
}

#[test]
fn refusals_are_said_once_and_not_repeated() {
    let bench = Bench::new();
    bench.write("a", b"a");
    bench
        .push(&["a", "s3://sensor-logs/elsewhere/"])
        .failed(6, "is not authorized to perform: s3:PutObject");
    assert_eq!(bench.puts().len(), 1);
}

#[test]
fn an_object_that_is_there_stays() {
    let bench = Bench::new();
    bench.write("a", b"first");
    let to = "s3://sensor-logs/sensors/a";
    succeeded(&bench.push(&["a", to, "--if-none-match"]));
    bench.write("a", b"second");
    bench
        .push(&["a", to, "--if-none-match=*"])
        .failed(6, "there is an object under sensors/a already");
    assert_eq!(bench.objects()["sensors/a"], b"first");
    succeeded(&bench.push(&["a", to]));
    assert_eq!(bench.objects()["sensors/a"], b"second");
}

#[test]
fn what_cannot_be_meant() {
    let bench = Bench::new();
    bench.write("a.json", b"a");
    bench.write("d/a.json", b"a");
    let to = "s3://sensor-logs/sensors/";
    for (arguments, says) in [
        (&["a.json"][..], "nobody says where to"),
        (&[to], "there is nothing to upload"),
        (
            &["a.json", "d/a.json", to],
            "a.json and d/a.json would have the same key, sensors/a.json",
        ),
        (
            &["a.json", "d/a.json", "s3://sensor-logs/x"],
            "would have the same key, x",
        ),
        (&[to, "a.json", "s3://b/"], "is not the last argument"),
        (&["a.json", "--to", to, to], "there are two destinations"),
        (
            &["a.json", "s3://sensor-logs/{nme}"],
            "there is no {nme}; did you mean {name}?",
        ),
        (
            &["a.json", "s3://arn:aws:s3:eu-west-1:1:accesspoint/x"],
            "ARNs of access points are not supported",
        ),
        (
            &["a.json", "--name=x", to],
            "standard input is not uploaded",
        ),
        (
            &["a.json", "--part-size=1MiB", to],
            "--part-size: `1MiB`: S3 takes parts from 5.0 MiB to 5.0 GiB",
        ),
        (&["a.json", "--concurrency=0", to], "from 1 to 64"),
        (
            &["a.json", "--bandwidth=fast", to],
            "a rate is a number of bytes each second",
        ),
        (&["a.json", "--sse-kms-key-id=k", to], "sse is not KMS"),
        (
            &["a.json", "--metadata=a=1", "--metadata=A=2", to],
            "`a` is given twice",
        ),
        (
            &["a.json", "--storage-class=STANDARD_AI", to],
            "did you mean STANDARD_IA?",
        ),
        (
            &["a.json", "--path-style", "--virtual-host", to],
            "path-style and virtual-host are both given",
        ),
        (
            &["a.json", "--s3-endpoint=http://10.0.0.1", to],
            "--s3-endpoint: http://10.0.0.1 is another machine's",
        ),
        (
            &["a.json", "--s3-fips", to],
            "neither s3-fips nor s3-dual-stack",
        ),
        (&["a.json", "--s3-region=Mars one", to], "this is no region"),
        (
            &["a.json", "--credentials=yours", to],
            "of the identity or of the environment",
        ),
    ] {
        bench.push(arguments).failed(2, says);
    }
    let long = format!("s3://sensor-logs/{}", "k".repeat(1025));
    bench
        .push(&["a.json", &long])
        .failed(2, "its key has 1025 bytes, and S3 takes 1024");
    bench
        .push(&["d/../a.json", "s3://sensor-logs/{path}"])
        .failed(2, "has a `.` or `..` between slashes");
    assert!(bench.puts().is_empty());
    assert_eq!(bench.hub.sessions(), 0);
}
