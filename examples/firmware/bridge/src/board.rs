//! The board in QEMU.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where the sector for the device's data lies (`examples/firmware/memory.ld`).
const SECTOR: u32 = 0x0010_0000;

/// How long the console may be silent.
const SILENCE: Duration = Duration::from_secs(90);

/// A board that runs, with its serial lines.
pub struct Board {
    qemu: Child,
    pub link: UnixStream,
    pub element: UnixStream,
    console: UnixStream,
    _folder: TempDir,
}

/// What a firmware said.
#[derive(Debug, Default)]
pub struct Outcome {
    /// All of it.
    pub lines: Vec<String>,
    /// Its figures, in bytes.
    pub figures: BTreeMap<String, usize>,
    /// Whether it did what it is there for.
    pub is_done: bool,
}

impl Board {
    /// Starts `image`, with `sector` in flash.
    ///
    /// # Errors
    /// If QEMU does not start: it is `qemu-system-arm`.
    pub fn start(image: &Path, sector: &[u8]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let sector_file = folder.path().join("sector");
        fs::write(&sector_file, sector)?;
        let mut command = Command::new("qemu-system-arm");
        command
            .args([
                "-machine",
                "mps2-an386",
                "-display",
                "none",
                "-monitor",
                "none",
                "-nodefaults",
            ])
            .arg("-kernel")
            .arg(image)
            .arg("-device")
            .arg(format!(
                "loader,file={},addr={SECTOR:#x},force-raw=on",
                sector_file.display()
            ))
            .stdin(Stdio::null());
        // In the order of the board's UARTs.
        let mut listeners = Vec::new();
        for name in ["link", "element", "console"] {
            let path = folder.path().join(name);
            let listener = UnixListener::bind(&path)?;
            listener.set_nonblocking(true)?;
            listeners.push(listener);
            command
                .arg("-chardev")
                .arg(format!("socket,id={name},path={}", path.display()))
                .arg("-serial")
                .arg(format!("chardev:{name}"));
        }
        let mut qemu = command.spawn()?;
        let lines: io::Result<Vec<_>> = listeners
            .iter()
            .map(|listener| accept(listener, &mut qemu))
            .collect();
        let lines = lines.inspect_err(|_| end(&mut qemu))?;
        let [link, element, console] = lines.try_into().expect("there are as many listeners");
        Ok(Self {
            qemu,
            link,
            element,
            console,
            _folder: folder,
        })
    }

    /// Listens to the console until the firmware has come to an end, one way or the other.
    ///
    /// # Errors
    /// The console's; it may be silent for a minute and a half.
    pub fn watch(&mut self) -> io::Result<Outcome> {
        self.console.set_read_timeout(Some(SILENCE))?;
        let mut outcome = Outcome::default();
        for line in BufReader::new(&self.console).lines() {
            let line = line?;
            let line = line.trim_end();
            let figure = line
                .strip_prefix("figure ")
                .and_then(|text| text.rsplit_once(": "));
            if let Some((name, Ok(bytes))) = figure.map(|(name, bytes)| (name, bytes.parse())) {
                outcome.figures.insert(name.to_owned(), bytes);
            }
            outcome.lines.push(line.to_owned());
            match line {
                "done" => outcome.is_done = true,
                "gave up" | "fault" => {}
                _ => continue,
            }
            break;
        }
        Ok(outcome)
    }

    /// Runs to the end of the firmware: `link` and `element` serve its lines meanwhile.
    ///
    /// # Errors
    /// The console's.
    pub fn run(
        mut self,
        link: impl FnOnce(&UnixStream) + Send,
        element: impl FnOnce(&UnixStream) + Send,
    ) -> io::Result<Outcome> {
        let (link_line, element_line) = (self.link.try_clone()?, self.element.try_clone()?);
        thread::scope(|scope| {
            scope.spawn(move || link(&link_line));
            scope.spawn(move || element(&element_line));
            let outcome = self.watch();
            // The lines end with it, and with them their threads.
            end(&mut self.qemu);
            outcome
        })
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        end(&mut self.qemu);
    }
}

fn end(qemu: &mut Child) {
    // It may have ended by itself.
    let _ = qemu.kill();
    let _ = qemu.wait();
}

fn accept(listener: &UnixListener, qemu: &mut Child) -> io::Result<UnixStream> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match listener.accept() {
            Ok((line, _)) => {
                line.set_nonblocking(false)?;
                return Ok(line);
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if qemu.try_wait()?.is_some() => {
                return Err(io::Error::other("QEMU has ended"));
            }
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}
