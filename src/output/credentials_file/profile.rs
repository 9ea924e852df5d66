//! The name of a profile, as a section of the file can have it.

use core::fmt;
use std::borrow::ToOwned as _;
use std::string::String;

/// The name of a profile that all programs read alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(String);

/// Python's `configparser`, and with it the AWS command line, gives what is in this section to every other
/// one.
const FOR_ALL: &str = "DEFAULT";

impl Profile {
    /// Checks a name.
    ///
    /// # Errors
    /// [`ProfileError`] if programs would not find, or not agree on, a section of that name.
    pub fn new(name: &str) -> Result<Self, ProfileError> {
        if name.is_empty() {
            Err(ProfileError::Empty)
        } else if name == FOR_ALL {
            Err(ProfileError::ForAll)
        } else if name.trim() != name {
            Err(ProfileError::Blanks)
        } else if let Some(c) = name.chars().find(|&c| is_forbidden(c)) {
            Err(ProfileError::Forbidden(c))
        } else {
            Ok(Self(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What ends a name, or a line, for one program or another.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '[' | ']' | '#' | ';' | '\u{2028}' | '\u{2029}')
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name cannot be that of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileError {
    /// There is none.
    Empty,
    /// It begins or ends with blanks.
    Blanks,
    /// It has this character.
    Forbidden(char),
    /// It is `DEFAULT`.
    ForAll,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name of a profile is not empty"),
            Self::Blanks => {
                f.write_str("the name of a profile neither begins nor ends with a blank")
            }
            Self::Forbidden(c) => write!(f, "the name of a profile has no {c:?}"),
            Self::ForAll => f.write_str(
                "AWS's Python programs take what is in DEFAULT for a part of every profile; \
                 the profile that counts where none is named is `default`",
            ),
        }
    }
}

impl core::error::Error for ProfileError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["default", "hub", "my profile", "a.b@c/d+e%", "ü"] {
            assert_eq!(Profile::new(good).unwrap().as_str(), good);
        }
        for (bad, error) in [
            ("", ProfileError::Empty),
            ("DEFAULT", ProfileError::ForAll),
            (" hub", ProfileError::Blanks),
            ("hub\n", ProfileError::Blanks),
            ("a]\n[b", ProfileError::Forbidden(']')),
            ("a\rb", ProfileError::Forbidden('\r')),
            ("c#", ProfileError::Forbidden('#')),
        ] {
            assert_eq!(Profile::new(bad), Err(error), "{bad:?}");
        }
    }
}
