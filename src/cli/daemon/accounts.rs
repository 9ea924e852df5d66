//! Users and groups by name. The lists of this machine are read as they are: a static program has no
//! name service, and those that come over a network can be given by their number.

use std::fs;
use std::path::Path;
use std::string::String;
use std::{format, io};

/// The number of a user, given by name or number.
///
/// # Errors
/// A sentence, if there is no such user.
pub fn user(text: &str) -> Result<u32, String> {
    number(text, Path::new("/etc/passwd"), "user")
}

/// The number of a group, given by name or number.
///
/// # Errors
/// A sentence, if there is no such group.
pub fn group(text: &str) -> Result<u32, String> {
    number(text, Path::new("/etc/group"), "group")
}

fn number(text: &str, list: &Path, what: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse::<u32>() {
        return Ok(number);
    }
    let lines = match fs::read_to_string(list) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("{}: {error}", list.display())),
    };
    find(&lines, text).ok_or_else(|| {
        let list = list.display();
        format!("there is no {what} of that name in {list}; its number works as well")
    })
}

/// The third field of the line whose first one is `name` (passwd(5), group(5)).
fn find(lines: &str, name: &str) -> Option<u32> {
    let mut lines = lines.lines().map(|line| line.split(':'));
    let mut fields = lines.find_map(|mut fields| (fields.next()? == name).then_some(fields))?;
    fields.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_or_number() {
        assert_eq!(user("root"), Ok(0));
        assert_eq!(user("12345"), Ok(12345));
        let error = user("no-such-user").unwrap_err();
        assert!(error.contains("/etc/passwd"), "{error}");
        assert!(group("-1").is_err());
    }

    #[test]
    fn lines_of_a_list() {
        let lines = "root:x:0:\n# comment\nbroken\nkeystead:x:990:hub,lab\n:x:7:\nodd:x:y:\n";
        assert_eq!(find(lines, "keystead"), Some(990));
        for name in ["key", "broken", "hub", "odd", "x"] {
            assert_eq!(find(lines, name), None, "{name}");
        }
    }
}
