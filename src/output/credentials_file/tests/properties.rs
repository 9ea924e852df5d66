//! Whatever is in the file: our settings are there afterwards, and every other byte is as it was.

use proptest::prelude::*;

use super::*;
use crate::output::credentials_file::access_key_id;
use std::borrow::ToOwned as _;

const OURS: [&str; 4] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_security_token",
];

/// A file of lines that mean something, in an order that may mean nothing.
fn files() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "(\\[hub\\]|\\[ hub ?\\]|\\[b\\]|\\[hub\\] [#;] c|\\[hub\\] # \\[x\\]|\\[|\\[\\])",
        "(aws_access_key_id|aws_secret_access_key|aws_session_token|AWS_SESSION_TOKEN|aws_security_token)[ \t]?[=:]?[ \t]?[a-z=]{0,4}",
        "(region|s3|x|)[ ]?[=:]?[ ]?[a-z#;]{0,4}",
        "[ \t]{1,3}(x = 1|aws_session_token = x|\\[hub\\]|# c|;|x|)",
        "[#;]? ?\\PC{0,6}",
    ];
    let ending = prop_oneof![8 => Just("\n"), 4 => Just("\r\n"), 1 => Just("\r")];
    let lines = proptest::collection::vec((line, ending), 0..12);
    let tail = proptest::collection::vec(1u8.., 0..3);
    (any::<bool>(), lines, tail).prop_map(|(mark, lines, tail)| {
        let mut file = if mark {
            "\u{feff}".to_owned()
        } else {
            String::new()
        };
        for (line, ending) in lines {
            file.push_str(&line);
            file.push_str(ending);
        }
        let mut file = file.into_bytes();
        file.extend(tail);
        file
    })
}

/// The lines that are not ours by their name, wherever they are, without what they end with.
fn others(file: &[u8]) -> Vec<Vec<u8>> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let lines = file.split(|byte| matches!(byte, b'\n' | b'\r'));
    let is_other = |line: &&[u8]| {
        let line = line.trim_ascii().to_ascii_lowercase();
        !OURS.iter().any(|name| line.starts_with(name.as_bytes()))
    };
    lines
        .filter(is_other)
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

proptest! {
    #[test]
    fn ours_are_there_and_others_are_as_they_were(file in files()) {
        let hub = profile("hub");
        let Ok(after) = set(&file, &hub, &credentials("1")) else {
            return Ok(());
        };
        let text = std::string::String::from_utf8_lossy(&after).into_owned();
        prop_assert!(text.contains("ID1") && text.contains("SECRET/1") && text.contains("TOKEN+1=="));
        prop_assert_eq!(access_key_id(&after, &hub), Some(&b"ID1"[..]));

        let (before, mut now) = (others(&file), others(&after));
        if now.len() > before.len() {
            prop_assert_eq!(now.pop(), Some(b"[hub]".to_vec()));
        }
        prop_assert_eq!(before, now);

        let again = set(&after, &hub, &credentials("1")).unwrap();
        prop_assert_eq!(&*again, &*after);
        let newer = set(&after, &hub, &credentials("2")).unwrap();
        let back = set(&newer, &hub, &credentials("1")).unwrap();
        prop_assert_eq!(&*back, &*after);

        let gone = unset(&after, &hub).unwrap();
        prop_assert_eq!(access_key_id(&gone, &hub), None);
        prop_assert!(!std::string::String::from_utf8_lossy(&gone).contains("TOKEN+1=="));
        prop_assert_eq!(others(&gone), others(&after));
        prop_assert_eq!(&*unset(&gone, &hub).unwrap(), &*gone);
    }

    #[test]
    fn a_file_without_the_profile_is_kept_whole(file in files(), name in "[c-g]{1,8}") {
        let profile = profile(&name);
        if let Ok(after) = set(&file, &profile, &credentials("1")) {
            prop_assert!(after.starts_with(&file));
        }
        if let Ok(after) = unset(&file, &profile) {
            prop_assert_eq!(&*after, &file);
        }
    }

    #[test]
    fn anything_at_all(file in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = set(&file, &profile("hub"), &credentials("1"));
        let _ = unset(&file, &profile("hub"));
    }
}
