//! What people put into the environment of programs that are to have the credentials.

use core::fmt::Write as _;
use std::borrow::Cow;
use std::format;
use std::path::Path;
use std::string::String;

use super::doors::{Open, Place};
use crate::output::serve::{self, Gives};

/// The exports for everything that is open, for a shell to evaluate, with comments for people.
pub fn text(open: &[Open], names: &[String], token: Option<&Path>) -> String {
    let mut text = String::new();
    for one in open {
        match one.door.gives {
            Gives::Container => {
                for name in names {
                    text += &container(name, &one.place, token);
                }
            }
            Gives::Imds { identity } => {
                let name = names.get(identity).map(String::as_str).unwrap_or_default();
                text += &imds(name, &one.place);
            }
        }
    }
    text
}

fn container(name: &str, place: &Place, token: Option<&Path>) -> String {
    let path = serve::container_path(name);
    let token = token.map(|token| quoted(&token.to_string_lossy()).into_owned());
    let token = token.unwrap_or_default();
    match place {
        Place::Url(url) => format!(
            "# {name}, container credentials. AWS CLI before 2.13 and s5cmd read no token file, and want\n\
             # AWS_CONTAINER_AUTHORIZATION_TOKEN=\"$(cat {token})\"\n\
             export AWS_CONTAINER_CREDENTIALS_FULL_URI={url}{path}\n\
             export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={token}\n"
        ),
        Place::Unix(socket) => {
            let socket = quoted(&socket.to_string_lossy()).into_owned();
            format!(
                "# {name}, at a Unix socket:\n\
                 # curl --unix-socket {socket} -H \"Authorization: $(cat {token})\" http://localhost{path}\n"
            )
        }
    }
}

fn imds(name: &str, place: &Place) -> String {
    let mut text = format!("# {name}, instance metadata, for every program of this machine\n");
    if let Place::Url(url) = place {
        // AWS CLI 2.9 wants the slash; the others take it. Writing into a string does not fail.
        let _ = writeln!(text, "export AWS_EC2_METADATA_SERVICE_ENDPOINT={url}/");
    }
    text
}

/// What AWS's helper says on standard error.
pub fn as_helper(open: &[Open]) -> Option<String> {
    let imds = open
        .iter()
        .find(|one| matches!(one.door.gives, Gives::Imds { .. }))?;
    let Place::Url(url) = &imds.place else {
        return None;
    };
    let port = url.rsplit(':').next().unwrap_or_default();
    Some(format!(
        "Local server started on port: {port}\n\
         Make it available to the sdk by running:\n\
         export AWS_EC2_METADATA_SERVICE_ENDPOINT={url}/"
    ))
}

/// A word for a shell.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    match word.bytes().all(is_plain) && !word.is_empty() {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', r"'\''"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("/run/user/1000/k"), "/run/user/1000/k");
        assert_eq!(quoted("/tmp/it's here"), r"'/tmp/it'\''s here'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn both_endpoints() {
        let url = Place::Url(String::from("http://127.0.0.1:9912"));
        let text = container("hub", &url, Some(Path::new("/run/k/t")));
        assert!(text.ends_with(
            "\nexport AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9912/credentials/hub\n\
             export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/k/t\n"
        ));
        let text = imds("hub", &url);
        assert!(
            text.ends_with("\nexport AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9912/\n")
        );
    }
}
