use super::*;
use proptest::prelude::*;
use std::ffi::OsStr;
use std::path::Path;

const NOW: UnixTime = UnixTime::from_secs(1_794_715_446);

fn of_hub() -> CertificateFacts {
    CertificateFacts {
        common_name: Some("hub-17".into()),
        serial: "0a1b".into(),
    }
}

fn made(template: &str, source: &SourceName) -> Result<String, KeyError> {
    let facts = Facts {
        hostname: "hub-17.example",
        time: NOW,
        certificate: Some(&of_hub()),
    };
    KeyTemplate::parse(template).unwrap().key(&facts, source)
}

fn file(path: &str) -> SourceName {
    SourceName::of_file(Path::new(path))
}

#[test]
fn every_field() {
    let source = file("/var/data/./log.json");
    for (template, key) in [
        ("fixed/key.json", "fixed/key.json"),
        (
            "sensors/{hostname}/{date:%Y/%m/%d}/{name}",
            "sensors/hub-17.example/2026/11/15/log.json",
        ),
        ("{date}/{cn}-{serial}", "2026-11-15/hub-17-0a1b"),
        (
            "{date:%F %T %y %j %s %%}",
            "2026-11-15 04:04:06 26 319 1794715446 %",
        ),
        ("{path}", "var/data/log.json"),
        ("{{{name}}}", "{log.json}"),
        ("", "log.json"),
        ("a/", "a/log.json"),
        ("a//", "a//log.json"),
        ("/a/", "/a/log.json"),
        ("{hostname}/", "hub-17.example/log.json"),
    ] {
        assert_eq!(made(template, &source).as_deref(), Ok(key), "{template}");
    }
}

#[test]
fn folders_keep_their_shape() {
    let source = SourceName::beneath(Path::new("2026/a.csv"));
    assert_eq!(made("x/", &source).unwrap(), "x/2026/a.csv");
    assert_eq!(made("x/{name}", &source).unwrap(), "x/a.csv");
    let prefix = |text| KeyTemplate::parse(text).unwrap().into_prefix();
    let facts = Facts {
        hostname: "hub",
        time: NOW,
        certificate: None,
    };
    for template in ["x", "x/"] {
        let key = prefix(template).key(&facts, &source);
        assert_eq!(key.as_deref(), Ok("x/2026/a.csv"), "{template}");
    }
    assert_eq!(prefix("x/{name}"), KeyTemplate::parse("x/{name}").unwrap());
    assert_eq!(prefix(""), KeyTemplate::parse("").unwrap());
}

#[test]
fn what_s3_would_not_take() {
    let long = "k".repeat(MAX_KEY + 1);
    assert_eq!(made(&long, &file("x")), Err(KeyError::TooLong(1025)));
    assert!(made(&long[1..], &file("x")).is_ok());
    assert_eq!(
        made("a/{path}", &file("../x")),
        Err(KeyError::Dots("a/../x".into()))
    );
    assert_eq!(
        made("{name}", &SourceName::default()),
        Err(KeyError::NoName)
    );
    assert_eq!(made("a/", &SourceName::default()), Err(KeyError::NoName));
    assert_eq!(made("a\u{7}", &file("x")), Err(KeyError::Control));
}

#[test]
fn without_a_common_name() {
    let nameless = CertificateFacts {
        common_name: None,
        serial: "01".into(),
    };
    let facts = Facts {
        hostname: "",
        time: NOW,
        certificate: Some(&nameless),
    };
    let key = |template| {
        KeyTemplate::parse(template)
            .unwrap()
            .key(&facts, &file("x"))
    };
    assert_eq!(key("{cn}"), Err(KeyError::NoCommonName));
    assert_eq!(key("{serial}").unwrap(), "01");
    // A name that is empty leaves nothing.
    assert_eq!(key("{hostname}"), Err(KeyError::Empty));
    assert_eq!(key("a{hostname}/{name}").unwrap(), "a/x");
}

#[test]
fn what_templates_need() {
    for (template, certificate, names) in [
        ("a", false, false),
        ("a/", false, true),
        ("{cn}/{name}", true, true),
        ("{serial}", true, false),
        ("{date:%s}", false, false),
        ("{path}", false, true),
    ] {
        let template = KeyTemplate::parse(template).unwrap();
        assert_eq!(template.needs_certificate(), certificate);
        assert_eq!(template.tells_names_apart(), names);
    }
}

#[test]
fn errors_say_what_there_is() {
    for (template, says) in [
        ("a{", "a brace has no other half"),
        ("a}b", "a brace has no other half"),
        (
            "{hostnme}",
            "there is no {hostnme}; did you mean {hostname}?",
        ),
        ("{sha512}", "fields are {hostname}, {date}, {name}"),
        ("{name:x}", "there is no {name:x}; {name} has no format"),
        ("{date:%Q}", "%Q in a date is not known; there are %Y %m %d"),
        ("{date:%}", "a date's format ends with a lone %"),
    ] {
        let error = KeyTemplate::parse(template).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn names_that_are_no_text() {
    for (name, text) in [
        (&b"plain name.txt"[..], "plain name.txt"),
        (b"gr\xc3\xbcn.csv", "grün.csv"),
        (b"a\xffb", "a%FFb"),
        (b"a%FFb", "a%25FFb"),
        (b"100% sure", "100% sure"),
        (b"a\nb\x7f", "a%0Ab%7F"),
        (b"\xff%41", "%FF%2541"),
    ] {
        assert_eq!(encoded(name), text);
        assert_eq!(
            SourceName::given(OsStr::new("x")).name.as_deref(),
            Some("x")
        );
    }
}

proptest! {
    #[test]
    fn no_two_names_become_one(
        a in proptest::collection::vec(prop_oneof![Just(b'%'), Just(b'F'), Just(b'\n'), any::<u8>()], 0..6),
        b in proptest::collection::vec(prop_oneof![Just(b'%'), Just(b'F'), Just(b'\n'), any::<u8>()], 0..6),
    ) {
        prop_assert_eq!(a == b, encoded(&a) == encoded(&b));
        prop_assert!(!encoded(&a).chars().any(char::is_control));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = KeyTemplate::parse(&text);
    }
}
