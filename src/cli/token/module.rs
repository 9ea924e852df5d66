//! Which PKCS#11 module is loaded.

use core::fmt;
use std::borrow::ToOwned as _;
use std::env::consts::ARCH;
use std::ffi::OsStr;
use std::format;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use crate::backend::regular_file;
use crate::cli::sources::Found;
use crate::core::text::Printable;

/// p11-kit's proxy for all modules that are installed, where the dynamic linker finds it.
const PROXY: &str = "p11-kit-proxy.so";

/// The library that the proxy is a link to. Debian has the link in a package of its own.
const LIBRARY: &str = "libp11-kit.so.0";

/// The module where nothing else is said: p11-kit's proxy, by its own name if it has that.
pub fn proxy() -> PathBuf {
    let folders = Folders::usual().libraries;
    let has = |name: &str| folders.iter().any(|folder| folder.join(name).exists());
    let name = if !has(PROXY) && has(LIBRARY) {
        LIBRARY
    } else {
        PROXY
    };
    name.into()
}

/// The module that a setting names: a file, or a name that is left to the dynamic linker.
pub fn file(found: &Found) -> PathBuf {
    let value = found.value.to_string_lossy();
    match value.strip_prefix("file:") {
        Some(path) => found.beside(Path::new(path)),
        None => beside(found, Path::new(&found.value)),
    }
}

/// A path with a slash in it is relative to what names it; without one it is the dynamic linker's.
pub fn beside(found: &Found, path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => path.to_owned(),
        _ => found.beside(path),
    }
}

/// The module that a URI's `module-name` names.
///
/// # Errors
/// [`NoModule`] if it is nowhere.
pub fn named(name: &str) -> Result<PathBuf, NoModule> {
    Folders::usual().find(name)
}

/// Where modules are looked for.
struct Folders {
    /// Where the dynamic linker looks.
    libraries: Vec<PathBuf>,
    /// Folders with modules.
    modules: Vec<PathBuf>,
    /// Folders with p11-kit's descriptions of modules (`NAME.module`).
    descriptions: Vec<PathBuf>,
}

impl Folders {
    fn usual() -> Self {
        let lib = Path::new("/usr/lib");
        // Debian's `x86_64-linux-gnu`; of several only this program's own can be loaded.
        let own = fs::read_dir(lib).into_iter().flatten().flatten();
        let own = own.map(|entry| entry.file_name()).filter(|name| {
            name.to_string_lossy()
                .starts_with(&format!("{ARCH}-linux-"))
        });
        let mut libraries: Vec<_> = own.map(|name| lib.join(name)).collect();
        libraries.extend(["/usr/lib64", "/usr/lib", "/usr/local/lib"].map(PathBuf::from));
        let modules = libraries.iter().map(|folder| folder.join("pkcs11"));
        let modules = modules.chain([PathBuf::from("/usr/local/lib")]).collect();
        let descriptions = ["/etc/pkcs11/modules", "/usr/share/p11-kit/modules"];
        Self {
            libraries,
            modules,
            descriptions: descriptions.map(PathBuf::from).into(),
        }
    }

    fn find(&self, name: &str) -> Result<PathBuf, NoModule> {
        let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        let found = is_name.then(|| {
            let described = || self.described(name).and_then(|file| self.file(&file));
            self.file(&format!("{name}.so"))
                .or_else(|| self.file(&format!("lib{name}.so")))
                .or_else(described)
        });
        found.flatten().ok_or_else(|| NoModule {
            name: name.to_owned(),
            folders: self.modules.clone(),
        })
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        // An absolute one stays as it is.
        let mut paths = self.modules.iter().map(|folder| folder.join(name));
        paths.find(|path| path.is_file())
    }

    /// What p11-kit's `NAME.module` says: `module: FILE` (pkcs11.conf(5)).
    fn described(&self, name: &str) -> Option<String> {
        let file = format!("{name}.module");
        let mut texts = self
            .descriptions
            .iter()
            .filter_map(|folder| regular_file::read_text(&folder.join(&file)).ok());
        let text = texts.next()?;
        let mut values = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("module:"));
        values.next().map(|value| value.trim().to_owned())
    }
}

/// There is no module of a name.
#[derive(Debug)]
pub struct NoModule {
    name: String,
    folders: Vec<PathBuf>,
}

impl fmt::Display for NoModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folders: Vec<_> = self
            .folders
            .iter()
            .map(|folder| folder.as_os_str())
            .collect();
        write!(
            f,
            "no module is called {} in {}; module-path=FILE names one anywhere",
            Printable(&self.name),
            folders.join(OsStr::new(", ")).display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn modules_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["one", "two", "elsewhere"] {
            fs::create_dir(at(name)).unwrap();
        }
        for name in [
            "one/libhsm.so",
            "two/hsm.so",
            "two/card.so",
            "elsewhere/x.so",
        ] {
            fs::write(at(name), "").unwrap();
        }
        let x = at("elsewhere/x.so");
        fs::write(
            at("two/soft.module"),
            format!("# comment\nmodule: {}\n", x.display()),
        )
        .unwrap();
        fs::write(at("two/kit.module"), "priority: 1\nmodule: card.so").unwrap();
        let folders = Folders {
            libraries: vec![],
            modules: vec![at("one"), at("two")],
            descriptions: vec![at("one"), at("two")],
        };
        for (name, file) in [
            ("hsm", at("two/hsm.so")),
            ("card", at("two/card.so")),
            ("soft", x),
            ("kit", at("two/card.so")),
        ] {
            assert_eq!(folders.find(name).unwrap(), file);
        }
        for name in ["", "x", "../elsewhere/x", ".", "/etc/passwd"] {
            assert!(folders.find(name).is_err(), "{name}");
        }
    }
}
