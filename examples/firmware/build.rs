//! Tells the linker where memory lies.

use std::env;
use std::fs;
use std::path::Path;

fn main() {
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    let mut memory = fs::read_to_string("memory.ld").expect("it lies beside this");
    // The longest record alone takes more than the other programs do.
    if env::var_os("CARGO_FEATURE_TLS").is_some() {
        memory = memory.replace("LENGTH = 16K /* TLS: 64K */", "LENGTH = 64K");
    }
    let out = Path::new(&out);
    fs::write(out.join("memory.x"), memory).expect("it can be written");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rerun-if-changed=memory.ld");
}
