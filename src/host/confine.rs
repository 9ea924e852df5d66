//! A daemon gives up what it does not need any more: rights that a program which it starts could gain,
//! and, where the kernel has Landlock, every file and TCP port but those that are its business. Only what
//! the calling thread starts after that is confined with it.

use core::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use super::roots;

/// What a daemon does after it has confined itself.
#[derive(Debug, Default, Clone)]
pub struct Needs {
    /// What it reads: files, and folders with everything below. For what is not there yet the nearest
    /// folder above stands, except for the root. A file that may be replaced by another one needs its
    /// folder: the kernel knows files by what they are, and not by their names.
    pub read: Vec<PathBuf>,
    /// The folders in which it writes. They have to be there.
    pub write: Vec<PathBuf>,
    /// Whether it moves files there from one folder to another. Landlock allows that from version 2 on (Linux
    /// 5.19): before, there is none for such a daemon.
    pub moves_files: bool,
    /// The devices that it speaks to, such as its terminal.
    pub devices: Vec<PathBuf>,
    /// The TCP ports that it connects to, on whichever host.
    pub connect: Vec<u16>,
}

impl Needs {
    /// Adds the folder of a file, and, if the file is a link, that of what it leads to: so that it can be
    /// read again after it was replaced.
    pub fn read_file(&mut self, file: &Path) {
        let mut add = |file: &Path| {
            let folder = match file.parent() {
                Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
                Some(folder) => folder,
                None => return,
            };
            if !self.read.iter().any(|known| known == folder) {
                self.read.push(folder.into());
            }
        };
        add(file);
        if let Ok(target) = file.canonicalize() {
            add(&target);
        }
    }

    /// Adds what every program reads that speaks TLS to a host by its name: the system's resolver, its
    /// libraries and its root certificates.
    pub fn read_system(&mut self) {
        // What a system has not, it does without: the folder above it is none of a daemon's business.
        let here = |path: &PathBuf| path.exists();
        self.read
            .extend(SYSTEM.map(PathBuf::from).into_iter().filter(here));
        for root in roots::places().filter(here) {
            self.read_file(&root);
            self.read.push(root);
        }
        // The list of name servers is replaced whenever the network changes. Where it is a plain file,
        // nothing less than its folder will do.
        let servers = Path::new(NAME_SERVERS);
        match servers.canonicalize() {
            Ok(target) if target == servers => self.read_file(servers),
            Ok(target) => {
                self.read.push(servers.into());
                self.read_file(&target);
            }
            // It leads to what there is not yet: the network comes later.
            Err(_) => {
                let target = fs::read_link(servers).unwrap_or_else(|_| servers.into());
                self.read_file(&Path::new("/etc").join(target));
            }
        }
    }
}

/// The list of name servers (resolv.conf(5)).
const NAME_SERVERS: &str = "/etc/resolv.conf";

/// What the C library reads to find a host's address, what it may load for that, and what tells about the
/// kernel, this process and the machine.
const SYSTEM: [&str; 30] = [
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/pkcs11",
    "/usr/share",
    "/usr/local/share/ca-certificates",
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/proc/self",
    "/proc/stat",
    "/proc/uptime",
    "/proc/sys/kernel/random",
    "/sys/devices/virtual/dmi",
    "/dev/null",
    "/dev/urandom",
];

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Confined {
    /// The kernel's Landlock holds it, in this version of its interface: from 4 on ports as well as files,
    /// from 6 on signals as well.
    Landlock(i32),
    /// It has gained rights for the last time, but the system has no Landlock.
    Unsupported,
    /// The same, since Landlock refused, for this reason.
    Refused(String),
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Landlock(version) => {
                let what = match version {
                    ..4 => "files",
                    4 | 5 => "files and TCP ports",
                    _ => "files, TCP ports and signals",
                };
                write!(f, "confined by Landlock {version}: {what}")
            }
            Self::Unsupported => f.write_str(
                "not confined: this kernel does not support Landlock, or has it switched off",
            ),
            Self::Refused(reason) => write!(f, "not confined: Landlock refuses: {reason}"),
        }
    }
}

/// From here on no program that this thread starts gets rights by being started, such as those of another
/// user.
///
/// # Errors
/// [`io::Error`] if the system refuses.
pub fn no_new_privileges() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Confines this thread, and those that it starts, to what they need, as far as the system can.
///
/// # Errors
/// [`io::Error`] as [`no_new_privileges`]. What Landlock cannot do is no error.
pub fn confine(needs: &Needs) -> io::Result<Confined> {
    no_new_privileges()?;
    #[cfg(target_os = "linux")]
    return Ok(landlock::confine(needs).unwrap_or_else(Confined::Refused));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = needs;
        Ok(Confined::Unsupported)
    }
}

#[cfg(target_os = "linux")]
mod landlock {
    use std::path::Path;
    use std::string::{String, ToString as _};

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _,
        LandlockStatus, NetPort, Ruleset, RulesetAttr as _, RulesetCreated,
        RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
    };

    use super::{Confined, Needs};

    /// The newest versions of which everything that they can deny is denied.
    const FILES: ABI = ABI::V5;
    const PORTS: ABI = ABI::V4;
    const SCOPES: ABI = ABI::V6;

    pub fn confine(needs: &Needs) -> Result<Confined, String> {
        if needs.moves_files && !can_move_files() {
            return Ok(Confined::Unsupported);
        }
        let text = |error: RulesetError| error.to_string();
        let status = rules(needs)
            .and_then(RulesetCreated::restrict_self)
            .map_err(text)?;
        Ok(match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => {
                Confined::Landlock(effective_abi as i32)
            }
            _ => Confined::Unsupported,
        })
    }

    fn can_move_files() -> bool {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::Refer)
            .is_ok()
    }

    fn rules(needs: &Needs) -> Result<RulesetCreated, RulesetError> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let moves = match needs.moves_files {
            true => AccessFs::Refer.into(),
            false => BitFlags::<AccessFs>::empty(),
        };
        let write = read
            | moves
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::MakeSock
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir;
        let speak: BitFlags<_> = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        let ports = needs.connect.iter().map(|port| {
            let port = NetPort::new(*port, AccessNet::ConnectTcp);
            Ok::<_, RulesetError>(port)
        });
        Ruleset::default()
            .handle_access(AccessFs::from_all(FILES))?
            .handle_access(AccessNet::from_all(PORTS))?
            .scope(Scope::from_all(SCOPES))?
            .create()?
            .add_rules(path_beneath_rules(
                needs.read.iter().filter_map(|path| existing(path)),
                read,
            ))?
            .add_rules(path_beneath_rules(&needs.write, write))?
            .add_rules(path_beneath_rules(&needs.devices, speak))?
            .add_rules(ports)
    }

    /// A path, or the nearest folder above it that there is.
    fn existing(path: &Path) -> Option<&Path> {
        let found = path.ancestors().find(|path| path.exists())?;
        (found == path || found.parent().is_some()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use std::fs::File;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::string::ToString as _;
    use std::vec;

    /// Runs `then` in a thread that has confined itself; the system says there what it can.
    fn confined(needs: Needs, then: impl FnOnce(i32) + Send + 'static) {
        let confined = std::thread::spawn(move || {
            let confined = confine(&needs).unwrap();
            #[cfg(target_os = "linux")]
            assert!(rustix::thread::no_new_privs().unwrap());
            match confined {
                Confined::Landlock(version) => then(version),
                other => assert_eq!(other, Confined::Unsupported),
            }
        });
        confined.join().unwrap();
    }

    fn refused<T>(result: io::Result<T>) {
        let error = result.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn only_what_is_needed_is_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["read", "write", "other", "target"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("read/key"), "key").unwrap();
        fs::write(at("target/chain"), "chain").unwrap();
        symlink(at("target/chain"), at("read/chain")).unwrap();
        fs::write(at("other/shadow"), "shadow").unwrap();
        let mut needs = Needs {
            write: vec![at("write")],
            ..Needs::default()
        };
        needs.read_file(&at("read/key"));
        needs.read_file(&at("read/chain"));
        assert_eq!(needs.read, [at("read"), at("target")]);
        needs.read.push(at("later/deep"));
        let root = folder.path().to_path_buf();
        confined(needs, move |_| {
            let at = |name: &str| root.join(name);
            assert_eq!(fs::read(at("read/key")).unwrap(), b"key");
            assert_eq!(fs::read(at("read/chain")).unwrap(), b"chain");
            refused(fs::write(at("read/new"), ""));
            refused(File::options().write(true).open(at("read/key")));
            refused(fs::remove_file(at("read/key")));
            fs::write(at("write/new"), "1").unwrap();
            fs::rename(at("write/new"), at("write/newer")).unwrap();
            fs::write(at("write/newer"), "2").unwrap();
            fs::remove_file(at("write/newer")).unwrap();
            refused(fs::write(at("other/new"), ""));
            refused(Command::new("/bin/true").status());
        });
    }

    #[test]
    fn what_is_not_needed_is_out_of_reach_and_what_is_replaced_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["read", "other"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("read/key"), "old").unwrap();
        fs::write(at("other/shadow"), "shadow").unwrap();
        let mut needs = Needs::default();
        needs.read_file(&at("read/key"));
        needs.read_system();
        fs::write(at("read/new"), "new").unwrap();
        fs::rename(at("read/new"), at("read/key")).unwrap();
        let root = folder.path().to_path_buf();
        confined(needs, move |_| {
            let at = |name: &str| root.join(name);
            assert_eq!(fs::read(at("read/key")).unwrap(), b"new");
            refused(File::open(at("other/shadow")));
            refused(fs::read_dir(at("other")));
            refused(fs::read_dir("/run"));
            fs::read_to_string("/etc/hosts").unwrap();
            fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
            fs::read_to_string("/proc/self/status").unwrap();
        });
    }

    #[test]
    fn connections_go_to_the_ports_that_are_needed() {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (wanted, other) = (listen(), listen());
        let addresses = [&wanted, &other].map(|one| one.local_addr().unwrap());
        let needs = Needs {
            connect: vec![addresses[0].port()],
            ..Needs::default()
        };
        confined(needs, move |version| {
            TcpStream::connect(addresses[0]).unwrap();
            wanted.accept().unwrap();
            if version >= 4 {
                refused(TcpStream::connect(addresses[1]));
                refused(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
            }
        });
    }

    #[test]
    fn each_outcome_is_one_line() {
        let text = |confined: Confined| confined.to_string();
        assert_eq!(text(Confined::Landlock(3)), "confined by Landlock 3: files");
        assert_eq!(
            text(Confined::Landlock(7)),
            "confined by Landlock 7: files, TCP ports and signals"
        );
        assert!(text(Confined::Unsupported).contains("does not support Landlock"));
        assert!(text(Confined::Refused("why".into())).ends_with("why"));
    }
}
