//! Whether this machine is one of Amazon EC2's, by what its firmware says. Nothing is sent to find that
//! out: elsewhere the address of the metadata service may be anybody's.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::vec::Vec;

/// Files below `/sys` that have the maker's name, on instances of the Nitro system and on bare metal.
const VENDORS: [&str; 4] = [
    "class/dmi/id/sys_vendor",
    "class/dmi/id/board_vendor",
    "class/dmi/id/bios_vendor",
    "class/dmi/id/chassis_vendor",
];

const VENDOR: &[u8] = b"Amazon EC2";

/// Files that begin with `ec2` on instances under Xen. Only root can read the first, and each machine has
/// it: one in 4096 begins so by chance.
const UUIDS: [&str; 2] = ["class/dmi/id/product_uuid", "hypervisor/uuid"];

/// Says `xen` under Xen.
const HYPERVISOR: &str = "hypervisor/type";

/// Xen's BIOS has a version such as `4.11.amazon`.
const BIOS_VERSION: &str = "class/dmi/id/bios_version";

/// Whether the firmware says that this is an EC2 instance; `sys` is where the kernel shows that.
pub fn is_ec2(sys: &Path) -> bool {
    let says = |file: &str| read(&sys.join(file));
    VENDORS.iter().any(|file| says(file) == VENDOR)
        || says(HYPERVISOR) == b"xen"
            && UUIDS.iter().any(|file| {
                let uuid = says(file);
                uuid.get(..3)
                    .is_some_and(|start| start.eq_ignore_ascii_case(b"ec2"))
            })
        || says(BIOS_VERSION).ends_with(b".amazon")
}

/// The first bytes of a file, without blanks around them; none if it cannot be read.
fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(256).read_to_end(&mut bytes));
    match read {
        Ok(_) => bytes.trim_ascii().to_vec(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_firmware_says() {
        for (file, text, expected) in [
            ("class/dmi/id/sys_vendor", "Amazon EC2\n", true),
            ("class/dmi/id/board_vendor", "Amazon EC2", true),
            ("class/dmi/id/bios_vendor", "Amazon EC2\n", true),
            ("class/dmi/id/bios_version", "4.11.amazon\n", true),
            ("class/dmi/id/sys_vendor", "LENOVO\n", false),
            ("class/dmi/id/sys_vendor", "Amazon EC2 lookalike\n", false),
            ("class/dmi/id/sys_vendor", "Xen\n", false),
            ("class/dmi/id/bios_version", "amazon\n", false),
            ("class/dmi/id/product_name", "Amazon EC2\n", false),
        ] {
            let sys = tempfile::tempdir().unwrap();
            let path = sys.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            assert_eq!(is_ec2(sys.path()), expected, "{file}: {text}");
        }
        assert!(!is_ec2(Path::new("/nonexistent")));
    }

    #[test]
    fn uuids_count_under_xen_alone() {
        for (hypervisor, file, uuid, expected) in [
            (
                "xen\n",
                "class/dmi/id/product_uuid",
                "EC2A1B2C-0000\n",
                true,
            ),
            ("xen\n", "hypervisor/uuid", "ec2a1b2c-0000\n", true),
            ("xen\n", "class/dmi/id/product_uuid", "ec", false),
            ("xen\n", "hypervisor/uuid", "0ec20000-0000\n", false),
            (
                "kvm\n",
                "class/dmi/id/product_uuid",
                "EC2A1B2C-0000\n",
                false,
            ),
            ("", "class/dmi/id/product_uuid", "EC2A1B2C-0000\n", false),
        ] {
            let sys = tempfile::tempdir().unwrap();
            for (file, text) in [("hypervisor/type", hypervisor), (file, uuid)] {
                let path = sys.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                if !text.is_empty() {
                    fs::write(path, text).unwrap();
                }
            }
            assert_eq!(is_ec2(sys.path()), expected, "{hypervisor}{file}: {uuid}");
        }
    }
}
