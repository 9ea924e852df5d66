//! The seeds of the fuzz targets, whole, cut short and damaged, through the targets' own bodies.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn no_seed_makes_a_target_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, target) in targets::TARGETS {
        let seeds: Vec<_> = fs::read_dir(folder.join(name))
            .unwrap_or_else(|error| panic!("no seeds for {name}: {error}"))
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(!seeds.is_empty(), "no seeds for {name}");
        for seed in seeds {
            target(&seed);
            for damaged in damages(&seed) {
                target(&damaged);
            }
        }
    }
}

/// The seed cut short, and with one byte changed, at places all over it.
fn damages(seed: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    const PLACES: usize = 200;
    let step = seed.len().div_ceil(PLACES).max(1);
    let places = (0..seed.len()).step_by(step);
    places.flat_map(move |place| {
        let cut = seed[..place].to_vec();
        let changed = [0x00, 0x01, 0x80, 0xff].map(|mask| {
            let mut bytes = seed.to_vec();
            bytes[place] = if mask == 0 { 0 } else { bytes[place] ^ mask };
            bytes
        });
        core::iter::once(cut).chain(changed)
    })
}

#[test]
fn every_target_has_a_program() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in targets::TARGETS {
        let file = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("path = \"{file}\"")), "{name}");
        let program = fs::read_to_string(fuzz.join(&file)).unwrap();
        assert!(
            program.contains(&format!("keystead_fuzz::{name}(data)")),
            "{file}"
        );
    }
    assert_eq!(
        manifest.matches("[[bin]]").count(),
        targets::TARGETS.len(),
        "fuzz/Cargo.toml has programs that are no targets"
    );
}
