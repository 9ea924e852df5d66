//! What the service manager is told (sd_notify(3)), and what it asks (sd_watchdog_enabled(3)).

use core::fmt;
use core::time::Duration;
use std::ffi::OsStr;
use std::format;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::process;
use std::string::String;

use rustix::time::{ClockId, clock_gettime};

use crate::backend::secret::Environment;

/// The variables by which a service manager speaks to the daemon alone.
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
pub const VARIABLES: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
];

/// How long the manager may keep us from writing.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to the service manager; nowhere, if there is none.
#[derive(Debug)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// The manager that `NOTIFY_SOCKET` names. The socket is connected here and now: whoever confines
    /// himself later still reaches it.
    ///
    /// # Errors
    /// [`io::Error`] if it cannot be reached.
    pub fn new(environment: &dyn Environment) -> io::Result<Self> {
        let name = environment.var("NOTIFY_SOCKET");
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(Self(None));
        };
        let socket = UnixDatagram::unbound()?;
        connect(&socket, &name)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(Some(socket)))
    }

    /// Nobody is told.
    pub fn none() -> Self {
        Self(None)
    }

    /// The daemon is up, or has read everything again.
    pub fn ready(&self) {
        self.send(format_args!("READY=1\n"));
    }

    /// The daemon reads everything again. The time is what `Type=notify-reload` wants beside it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(format_args!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        self.send(format_args!("STOPPING=1\n"));
    }

    /// One line for people.
    pub fn status(&self, text: &str) {
        let line: String = text.replace(|c: char| c.is_control(), " ");
        self.send(format_args!("STATUS={line}\n"));
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.send(format_args!("WATCHDOG=1\n"));
    }

    fn send(&self, message: fmt::Arguments<'_>) {
        if let Some(socket) = &self.0 {
            // A manager that does not hear us draws its own conclusions.
            let _ = socket.send(format!("{message}").as_bytes());
        }
    }
}

#[cfg(target_os = "linux")]
fn connect(socket: &UnixDatagram, name: &OsStr) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?),
        None => socket.connect(name),
    }
}

#[cfg(not(target_os = "linux"))]
fn connect(socket: &UnixDatagram, name: &OsStr) -> io::Result<()> {
    socket.connect(name)
}

/// How long the manager waits for a sign of life, if it does.
pub fn watchdog(environment: &dyn Environment) -> Option<Duration> {
    let number = |name| environment.var(name)?.to_str()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
    let time = number("WATCHDOG_USEC").filter(|time| *time > 0 && is_ours)?;
    Some(Duration::from_micros(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::vec;

    struct Variables(BTreeMap<&'static str, OsString>);

    impl Environment for Variables {
        fn var(&self, name: &str) -> Option<OsString> {
            self.0.get(name).cloned()
        }
    }

    fn variables(all: &[(&'static str, &OsStr)]) -> Variables {
        let all = all.iter().map(|(name, value)| (*name, (*value).into()));
        Variables(all.collect())
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = vec![0; 1000];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(&variables(&[("NOTIFY_SOCKET", path.as_os_str())])).unwrap();
        notifier.ready();
        assert_eq!(received(&manager), "READY=1\n");
        notifier.status("hub:\ncredentials");
        assert_eq!(received(&manager), "STATUS=hub: credentials\n");
        notifier.reloading();
        let text = received(&manager);
        let time = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.trim_end().parse::<u64>().unwrap() > 0);
        notifier.alive();
        assert_eq!(received(&manager), "WATCHDOG=1\n");
        notifier.stopping();
        assert_eq!(received(&manager), "STOPPING=1\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_sockets_are_reached_as_well() {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::SocketAddr;
        let name = format!("keystead-notify-{}", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let name = OsString::from(format!("@{name}"));
        let notifier = Notifier::new(&variables(&[("NOTIFY_SOCKET", &name)])).unwrap();
        notifier.ready();
        assert_eq!(received(&manager), "READY=1\n");
    }

    #[test]
    fn without_a_manager_nothing_is_said() {
        let notifier = Notifier::new(&variables(&[])).unwrap();
        notifier.ready();
        let nowhere = variables(&[("NOTIFY_SOCKET", OsStr::new("/nowhere/notify"))]);
        assert!(Notifier::new(&nowhere).is_err());
    }

    #[test]
    fn the_watchdog_is_for_one_process() {
        let own = OsString::from(format!("{}", process::id()));
        let time = OsStr::new("2000000");
        let watch = |all: &[_]| watchdog(&variables(all));
        let two = Some(Duration::from_secs(2));
        assert_eq!(watch(&[("WATCHDOG_USEC", time)]), two);
        assert_eq!(
            watch(&[("WATCHDOG_USEC", time), ("WATCHDOG_PID", &own)]),
            two
        );
        let other = OsStr::new("1");
        assert_eq!(
            watch(&[("WATCHDOG_USEC", time), ("WATCHDOG_PID", other)]),
            None
        );
        assert_eq!(watch(&[("WATCHDOG_USEC", OsStr::new("0"))]), None);
        assert_eq!(watch(&[]), None);
    }
}
