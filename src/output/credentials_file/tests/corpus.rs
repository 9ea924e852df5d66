//! Files as people, and programs, leave them.

use super::*;
use crate::output::credentials_file::access_key_id;

const NEW: &str = "\
aws_access_key_id = ID1
aws_secret_access_key = SECRET/1
aws_session_token = TOKEN+1==
";

#[test]
fn a_section_that_is_not_there() {
    for (before, between) in [
        ("", ""),
        ("[a]\nx = 1\n", "\n"),
        ("[a]\nx = 1", "\n\n"),
        ("[a]\nx = 1\n\n", ""),
        ("# only a comment\n", "\n"),
        ("\u{feff}", ""),
        ("[a]\ns3 =\n  x = 1\n", "\n"),
    ] {
        let after = with(before);
        assert_eq!(after, std::format!("{before}{between}[hub]\n{NEW}"));
        assert_eq!(with(&after), after);
        assert_eq!(without(&after), std::format!("{before}{between}[hub]\n"));
    }
    let crlf = with("[a]\r\nx = 1");
    assert!(crlf.starts_with("[a]\r\nx = 1\r\n\r\n[hub]\r\naws_access_key_id = ID1\r\n"));
    assert!(!crlf.replace("\r\n", "").contains('\n'));
}

#[test]
fn what_is_there_is_changed_in_its_place() {
    for (before, after) in [
        // Any order, spacing, case and delimiter; comments and unknown settings between.
        (
            "[hub]\naws_session_token=a=b\n# c\nAWS_Access_Key_Id : x\t \nregion = r\naws_secret_access_key\t=  y\n[b]\n",
            "[hub]\naws_session_token=TOKEN+1==\n# c\naws_access_key_id = ID1\nregion = r\naws_secret_access_key\t=  SECRET/1\n[b]\n",
        ),
        // A key that never had a token.
        (
            "[hub]\r\naws_access_key_id=x\r\naws_secret_access_key=y\r\n\r\n[b]\r\n",
            "[hub]\r\naws_access_key_id=ID1\r\naws_secret_access_key=SECRET/1\r\naws_session_token=TOKEN+1==\r\n\r\n[b]\r\n",
        ),
        // Nothing yet; the section is the last one, and its last line has no end.
        (
            "[a]\nx = 1\n[hub]",
            "[a]\nx = 1\n[hub]\naws_access_key_id = ID1\naws_secret_access_key = SECRET/1\naws_session_token = TOKEN+1==",
        ),
        (
            "[hub]\nregion = r\naws_secret_access_key = y",
            "[hub]\nregion = r\naws_secret_access_key = SECRET/1\naws_access_key_id = ID1\naws_session_token = TOKEN+1==",
        ),
        // Mixed endings.
        (
            "[hub]\r\naws_access_key_id = x\naws_secret_access_key = y\r\naws_session_token = z\r",
            "[hub]\r\naws_access_key_id = ID1\naws_secret_access_key = SECRET/1\r\naws_session_token = TOKEN+1==\r",
        ),
        // A comment behind a value, which some programs take for a part of it.
        (
            "[hub]\naws_access_key_id = x ; mine\naws_secret_access_key = # none\naws_session_token = x#y\n",
            "[hub]\n; mine\naws_access_key_id = ID1\n# none\naws_secret_access_key = SECRET/1\naws_session_token = TOKEN+1==\n",
        ),
        // Settings of other programs stay as they are, also those that are indented.
        (
            "[hub]\naws_access_key_id = x\naws_secret_access_key = y\naws_session_token = z\ns3 =\n    max_queue_size = 9\n  # c\n    aws_session_token = no\n",
            "[hub]\naws_access_key_id = ID1\naws_secret_access_key = SECRET/1\naws_session_token = TOKEN+1==\ns3 =\n    max_queue_size = 9\n  # c\n    aws_session_token = no\n",
        ),
        // The token's older name.
        (
            "[hub]\naws_security_token = old\n",
            "[hub]\naws_security_token = TOKEN+1==\naws_access_key_id = ID1\naws_secret_access_key = SECRET/1\naws_session_token = TOKEN+1==\n",
        ),
        // No values.
        (
            "[hub]\naws_access_key_id = \naws_secret_access_key=\naws_session_token:\n",
            "[hub]\naws_access_key_id =ID1\naws_secret_access_key=SECRET/1\naws_session_token=TOKEN+1==\n",
        ),
    ] {
        assert_eq!(with(before), after);
        assert_eq!(with(after), after);
    }
}

#[test]
fn indented_settings_which_few_programs_find() {
    let indented = "[hub]\n  region = r\n  aws_access_key_id = x\n  output = o\n\n# of b\n[b]\n";
    let after = std::format!("[hub]\n  region = r\n  output = o\n{NEW}\n# of b\n[b]\n");
    assert_eq!(with(indented), after);
    assert_eq!(with(&after), after);
}

#[test]
fn doubles() {
    // The later setting counts for some programs, the earlier for others, and Python takes none of both.
    assert_eq!(
        with("[hub]\naws_access_key_id = a\nx = 1\naws_access_key_id = b\n"),
        "[hub]\naws_access_key_id = ID1\naws_secret_access_key = SECRET/1\naws_session_token = TOKEN+1==\nx = 1\n"
    );
    assert_eq!(
        with("[hub]\naws_access_key_id = a\n[hub]\nx = 1\n"),
        std::format!("[hub]\n{NEW}[hub]\n{NEW}x = 1\n")
    );
}

#[test]
fn headers_that_not_everybody_reads_alike() {
    for header in ["[ hub ]", "[hub ]", "[hub] # see [b]"] {
        let after = with(&std::format!("{header}\nx = 1\n"));
        assert_eq!(after, std::format!("{header}\n{NEW}x = 1\n\n[hub]\n{NEW}"));
        assert_eq!(with(&after), after);
    }
    for header in ["[hub]  ", "[hub] ; c", "[hub]#c", "\t[hub]"] {
        let after = with(&std::format!("{header}\nx = 1\n"));
        assert_eq!(after, std::format!("{header}\n{NEW}x = 1\n"));
    }
    for other in ["[profile hub]", "['hub']", "[HUB]", "[hubs]", "# [hub]"] {
        let before = std::format!("{other}\nx = 1\n");
        assert_eq!(with(&before), std::format!("{before}\n[hub]\n{NEW}"));
    }
}

#[test]
fn what_is_no_text_for_others_stays() {
    let before = b"\xff\xfe\n[a\x80]\n\x01 = \xc3\n[hub]\nx = \xff\n";
    let after = set(before, &profile("hub"), &credentials("1")).unwrap();
    let end = after
        .strip_prefix(b"\xff\xfe\n[a\x80]\n\x01 = \xc3\n[hub]\n")
        .unwrap();
    assert_eq!(end.strip_suffix(b"x = \xff\n").unwrap(), NEW.as_bytes());
    let long = std::format!("[a]\nx = {}\n[hub]\n", "y".repeat(200_000));
    assert_eq!(with(&long), std::format!("{long}{NEW}"));
}

#[test]
fn what_cannot_be_changed_without_a_loss() {
    for (line, contents) in [
        // Python: a part of the key's id. JavaScript: settings.
        (3, "[hub]\naws_access_key_id = x\n  region = r\n"),
        (4, "[hub]\naws_session_token = x\n# c\n\tmore\n"),
        (
            3,
            "[hub]\naws_access_key_id = x\n  aws_secret_access_key = y\n",
        ),
        (3, "[hub]\nregion = r\n  aws_secret_access_key = y\n"),
        // Python: a part of the region. JavaScript: sections.
        (3, "[hub]\nregion = r\n  [b]\n"),
        (3, "[b]\nregion = r\n  [hub]\n"),
        // With our settings above it, it would be a part of them.
        (2, "[hub]\n [b]\n"),
        (3, "[hub]\n  region = r\n [b]\n"),
    ] {
        let error = set(contents.as_bytes(), &profile("hub"), &credentials("1"));
        assert_eq!(
            error.unwrap_err(),
            EditError::Disputed { line },
            "{contents}"
        );
        assert!(unset(contents.as_bytes(), &profile("hub")).is_err());
        assert!(set(contents.as_bytes(), &profile("c"), &credentials("1")).is_ok());
    }
    for contents in [&b"[\0h\0u\0b\0]\0"[..], b"[hub]\n\0\0\0\0"] {
        let error = set(contents, &profile("hub"), &credentials("1"));
        assert_eq!(error.unwrap_err(), EditError::NoText);
    }
}

#[test]
fn values_that_would_be_something_else() {
    for value in ["", "a b", "a\nb = c", "a\r", "\u{fc}", "a\0"] {
        let mut bad = credentials("1");
        bad.session_token = Zeroizing::new(value.into());
        let error = set(b"", &profile("hub"), &bad).unwrap_err();
        assert_eq!(error, EditError::Values);
    }
}

#[test]
fn whose_credentials_are_there() {
    let of = |contents: &'static str| {
        let id = access_key_id(contents.as_bytes(), &profile("hub"))?;
        str::from_utf8(id).ok()
    };
    assert_eq!(of(""), None);
    assert_eq!(of("[b]\naws_access_key_id = x\n[hub]\n"), None);
    assert_eq!(
        of("[hub]\naws_access_key_id = x\n[b]\naws_access_key_id = y\n"),
        Some("x")
    );
}
