//! Vectors recorded from programs that this project did not write. They are not part of the
//! repository: where the folder beside it is missing, there are none.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of the recorded vectors.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors")
}

/// The cases of a file, none if it is not there.
pub fn cases(file: &str) -> Vec<Value> {
    match std::fs::read(folder().join(file)) {
        Ok(text) => serde_json::from_slice(&text).expect("the vectors are JSON"),
        Err(_) => {
            eprintln!("{file}: not beside this checkout, nothing to compare with");
            Vec::new()
        }
    }
}

/// A text member of a case.
pub fn text<'a>(case: &'a Value, pointer: &str) -> &'a str {
    case.pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer} is missing in {case}"))
}
