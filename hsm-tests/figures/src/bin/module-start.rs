//! What a module's own start costs: `module-start MODULE SLOT ID` makes one P-256 signature and ends.
//! Without arguments it ends at once: what is left is the module's.

use std::env;

use cryptoki_sys::CKM_ECDSA;
use figures::Straight;

fn main() {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [module, slot, id] = &arguments[..] else {
        return;
    };
    let number = |text: &std::ffi::OsStr| text.to_str().and_then(|text| text.parse::<u64>().ok());
    let slot = number(slot).expect("CK_SLOT_ID");
    let id = number(id)
        .and_then(|id| id.try_into().ok())
        .expect("CKA_ID");
    let straight = Straight::open(module, slot, id);
    let len = straight.sign(CKM_ECDSA, &[7; 32], &mut [0; 64]);
    assert_eq!(len, 64);
}
