//! AWS's shared credentials file, as people and other programs leave it.

use keystead::core::time::UnixTime;
use keystead::host::session::Credentials;
use keystead::output::credentials_file::{Profile, access_key_id, set, unset};

/// A file in which the profile `hub` is written.
pub fn credentials_file(data: &[u8]) {
    let hub = Profile::new("hub").expect("a name");
    let credentials = Credentials {
        access_key_id: String::from("ID"),
        secret_access_key: String::from("SECRET").into(),
        session_token: String::from("TOKEN").into(),
        expiration: UnixTime::from_secs(0),
        role_arn: String::new(),
    };
    let Ok(after) = set(data, &hub, &credentials) else {
        return;
    };
    assert_eq!(access_key_id(&after, &hub), Some(&b"ID"[..]));
    let again = set(&after, &hub, &credentials).expect("what we wrote");
    assert_eq!(again, after);
    let gone = unset(&after, &hub).expect("what we wrote");
    assert_eq!(access_key_id(&gone, &hub), None);
    assert_eq!(unset(&gone, &hub).expect("what we wrote"), gone);
    // Who is not there is written at the end, and nothing else changes.
    let other = Profile::new("a name that is not there").expect("a name");
    let beside = set(&after, &other, &credentials).expect("the same lines");
    assert!(beside.starts_with(&after));
}
