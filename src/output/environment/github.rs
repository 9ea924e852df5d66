//! A step of a GitHub Actions workflow: its secrets are masked in the log, and the variables go into the
//! file that later steps get theirs from.

use core::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::string::String;

use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::Variable;
use crate::core::text::Hex;

/// What a step prints and keeps.
pub struct Step {
    /// For standard output: the runner takes these lines away, and whatever they name out of the log.
    pub masks: Zeroizing<String>,
    block: Zeroizing<String>,
}

impl Step {
    /// The lines for `variables`.
    ///
    /// # Errors
    /// [`io::Error`] if there is no randomness, or a value has lines of its own or a NUL, which the file
    /// cannot say.
    pub fn new(variables: &[Variable]) -> io::Result<Self> {
        let lens = variables.iter().map(|v| v.name.len() + v.value.len());
        let room = lens.sum::<usize>() * 3 + variables.len() * 256;
        let mut masks = Zeroizing::new(String::with_capacity(room));
        let mut block = Zeroizing::new(String::with_capacity(room));
        let mut random = [0; 16];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        for variable in variables {
            let (name, value) = (variable.name, variable.value.as_str());
            if value.contains(['\n', '\r', '\0']) {
                let why = std::format!("{name} has more than one line, or a NUL");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            // Writing into a string does not fail.
            if name != "AWS_CREDENTIAL_EXPIRATION" {
                // Workflow commands are decoded: `%` is their escape.
                let _ = writeln!(
                    masks,
                    "::add-mask::{}",
                    Zeroizing::new(value.replace('%', "%25")).as_str()
                );
            }
            // A line that nobody can know beforehand ends the value, so that no value can end itself.
            let end = Hex(&random);
            let _ = write!(block, "{name}<<keystead_{end}\n{value}\nkeystead_{end}\n");
        }
        Ok(Self { masks, block })
    }
}

/// The file that `GITHUB_ENV` names, open for appending.
pub struct Append(File);

impl Append {
    /// Opens the file, which the runner has made.
    ///
    /// # Errors
    /// [`io::Error`], also if it is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            // A FIFO that nobody reads would wait for ever; through a link lies another file.
            .custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits() as i32)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Self(file))
    }

    /// Appends the variables of `step`, in one write.
    ///
    /// # Errors
    /// [`io::Error`]; a part may have been written if the disk is full.
    pub fn append(mut self, step: &Step) -> io::Result<()> {
        let mut text = Zeroizing::new(String::with_capacity(step.block.len() + 1));
        // What somebody wrote without an end of line is not to swallow our first one.
        if self.0.seek(SeekFrom::End(0))? > 0 {
            self.0.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            self.0.read_exact(&mut last)?;
            if last != *b"\n" {
                text.push('\n');
            }
        }
        text.push_str(&step.block);
        self.0.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::string::ToString as _;
    use std::vec::Vec;

    fn variable(value: &str) -> [Variable; 1] {
        [Variable {
            name: "SECRET",
            value: Zeroizing::new(value.into()),
        }]
    }

    /// As the runner's `EnvFileCommand` reads: `NAME<<END`, lines, `END`.
    fn read(text: &str) -> Vec<(String, String)> {
        let mut lines = text.lines();
        let mut read = Vec::new();
        while let Some(line) = lines.next() {
            if line.is_empty() {
                continue;
            }
            let Some((name, end)) = line.split_once("<<") else {
                let (name, value) = line.split_once('=').unwrap();
                read.push((name.into(), value.into()));
                continue;
            };
            let value: Vec<_> = lines.by_ref().take_while(|line| *line != end).collect();
            read.push((name.into(), value.join("\n")));
        }
        read
    }

    #[test]
    fn values_come_back_and_no_value_ends_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        fs::write(&path, "BEFORE=1").unwrap();
        let before = Step::new(&variable("x")).unwrap();
        let end = before.block.lines().last().unwrap().to_string();
        for value in ["a%b/c+d==", "A=1", "<<EOF", end.as_str(), ""] {
            let step = Step::new(&variable(value)).unwrap();
            Append::open(&path).unwrap().append(&step).unwrap();
            let read = read(&fs::read_to_string(&path).unwrap());
            assert_eq!(read.last().unwrap(), &("SECRET".into(), value.into()));
            assert_eq!(read[0], ("BEFORE".into(), "1".into()));
        }
        let step = Step::new(&variable("100%")).unwrap();
        assert_eq!(step.masks.as_str(), "::add-mask::100%25\n");
        for value in ["a\nEVIL=1", "a\rb", "\0"] {
            let error = Step::new(&variable(value)).err().unwrap();
            assert!(error.to_string().starts_with("SECRET has more"));
        }
    }

    #[test]
    fn only_a_regular_file_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        assert_eq!(
            Append::open(&path).err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
        assert!(Append::open(folder.path()).is_err());
        assert!(Append::open(Path::new("/dev/null")).is_err());
        fs::write(&path, "").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Append::open(&link).is_err());
        assert!(Append::open(&path).is_ok());
    }
}
