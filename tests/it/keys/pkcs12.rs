//! PKCS#12 files, old and new.

use keystead::backend::file::{FileIdentity, open, open_pkcs12};

use super::{error, never_asked, password, public_key};
use crate::support::openssl::{CA, LEAF, P256, Workshop};

/// Arguments of `openssl pkcs12 -export`.
const WRITERS: [&str; 6] = [
    "",
    "-legacy",
    "-legacy -descert",
    "-keypbe AES-128-CBC -certpbe AES-192-CBC -macalg sha512",
    "-keypbe NONE -certpbe NONE",
    "-nomac",
];

fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.key("root", P256);
    workshop.certificate("root", "root", "", CA);
    workshop.key("hub", P256);
    workshop.certificate("hub", "root", "", LEAF);
    workshop
}

fn export(workshop: &Workshop, arguments: &str, password: &str) {
    workshop.openssl(&format!(
        "pkcs12 -export -inkey hub.key -in hub.pem -certfile root.pem {arguments} -passout pass:{password} -out hub.p12"
    ));
}

#[test]
fn every_writer() {
    let workshop = workshop();
    let path = workshop.path("hub.p12");
    let public = public_key(&workshop, "hub.key");
    for arguments in WRITERS {
        export(&workshop, arguments, "geheim");
        let (signer, certificates) = open_pkcs12(&path, &mut password("geheim")).unwrap();
        assert_eq!(signer.public_key(), public, "{arguments}");
        assert_eq!(certificates.len(), 2);

        let wrong = open_pkcs12(&path, &mut password("Geheim")).err().unwrap();
        assert!(wrong.concerns_password(), "{arguments}: {wrong}");

        export(&workshop, arguments, "");
        let (signer, _) = open_pkcs12(&path, &mut never_asked).unwrap();
        assert_eq!(signer.public_key(), public, "{arguments}");
    }
}

#[test]
fn an_identity_in_one_file() {
    let workshop = workshop();
    export(&workshop, "", "geheim");
    let certificate = workshop.path("hub.p12");
    let mut files = FileIdentity {
        certificate: &certificate,
        private_key: None,
        intermediates: None,
    };
    let (identity, warnings) = open(&files, &mut password("geheim")).unwrap();
    workshop.openssl("x509 -in hub.pem -outform DER -out hub.der");
    assert_eq!(identity.chain(), &[workshop.read("hub.der")]);
    // OpenSSL writes it for its owner alone.
    assert_eq!(warnings, []);

    let key = workshop.path("hub.key");
    files.private_key = Some(&key);
    let sentence = error(&certificate, open(&files, &mut never_asked));
    assert!(sentence.contains("its own private key"), "{sentence}");
}

#[test]
fn damage_is_not_a_wrong_password() {
    let workshop = workshop();
    export(&workshop, "", "geheim");
    let mut contents = workshop.read("hub.p12");
    contents.truncate(contents.len() - 10);
    let path = workshop.write("hub.p12", contents);
    let damaged = open_pkcs12(&path, &mut password("geheim")).err().unwrap();
    assert!(!damaged.concerns_password());
    assert!(damaged.to_string().contains("damaged"), "{damaged}");
}

/// Splits off the first element of DER: its tag, what it contains, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        _ => {
            let (len, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let len = len
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte));
            (len, rest)
        }
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    Some((tag, contents, rest))
}

/// Writes a structure again, with what `change` makes of the contents of all that contains elements: `SEQUENCE`s, what
/// is tagged, and octet strings around a `SEQUENCE`. Left as they are: attributes, and `opaque`.
fn rewrite(der: &[u8], opaque: &[Vec<u8>], change: &mut dyn FnMut(&mut Vec<u8>)) -> Vec<u8> {
    let mut written = Vec::new();
    let mut rest = der;
    while let Some((tag, contents, after)) = element(rest) {
        let is_around = match tag {
            0x04 => matches!(element(contents), Some((0x30, _, []))),
            _ => matches!(tag, 0x30 | 0xa0),
        };
        if is_around && !opaque.iter().any(|opaque| opaque == contents) {
            let mut contents = rewrite(contents, opaque, change);
            change(&mut contents);
            let len = u16::try_from(contents.len()).unwrap().to_be_bytes();
            match len {
                [0, short @ 0..=0x7f] => written.extend([tag, short]),
                [0, long] => written.extend([tag, 0x81, long]),
                long => written.extend([tag, 0x82, long[0], long[1]]),
            }
            written.extend(contents);
        } else {
            written.extend(&rest[..rest.len() - after.len()]);
        }
        rest = after;
    }
    written
}

#[test]
fn nothing_follows_what_is_read() {
    let workshop = workshop();
    let path = workshop.path("hub.p12");
    for command in [
        "x509 -in hub.pem -outform DER -out 1",
        "x509 -in root.pem -outform DER -out 2",
        "pkcs8 -topk8 -nocrypt -in hub.key -outform DER -out 3",
    ] {
        workshop.openssl(command);
    }
    // The key as the contents of its bag: without its header.
    let key = workshop.read("3");
    let opaque = [workshop.read("1"), workshop.read("2"), key];
    for (arguments, least) in [
        ("", 15),
        ("-nomac", 25),
        ("-nomac -legacy", 18),
        ("-nomac -keypbe NONE -certpbe NONE", 18),
    ] {
        export(&workshop, arguments, "geheim");
        let whole = workshop.read("hub.p12");
        assert_eq!(rewrite(&whole, &opaque, &mut |_| {}), whole);
        let mut count = 0;
        rewrite(&whole, &opaque, &mut |_| count += 1);
        assert!(count >= least, "{arguments}: {count}");
        for place in 0..count {
            let mut at = 0;
            let changed = rewrite(&whole, &opaque, &mut |contents| {
                if at == place {
                    // NULL.
                    contents.extend([5, 0]);
                }
                at += 1;
            });
            workshop.write("hub.p12", changed);
            let wrong = open_pkcs12(&path, &mut password("geheim")).err();
            let wrong = wrong.unwrap_or_else(|| panic!("{arguments}: {place} of {count}"));
            // What the MAC is over is not looked at before it was found wrong.
            if arguments.starts_with("-nomac") {
                assert!(!wrong.concerns_password(), "{arguments}, {place}: {wrong}");
            }
        }
    }
}

#[test]
fn a_key_size_that_is_not_the_ciphers() {
    let workshop = workshop();
    export(&workshop, "-iter 2049 -nomac", "geheim");
    let iterations = [2, 2, 8, 1];
    let with_size = |size| {
        let contents = rewrite(&workshop.read("hub.p12"), &[], &mut |contents| {
            // Behind PBKDF2's salt.
            let at = match element(contents) {
                Some((4, _, rest)) if rest.starts_with(&iterations) => contents.len() - rest.len(),
                _ => return,
            };
            contents.splice(at + 4..at + 4, [2, 1, size]);
        });
        workshop.write("changed.p12", contents)
    };
    open_pkcs12(&with_size(32), &mut password("geheim")).unwrap();
    let path = with_size(16);
    let sentence = error(&path, open_pkcs12(&path, &mut never_asked));
    assert_eq!(sentence, "its PKCS#12 structure is damaged");
}

#[test]
fn a_second_key_is_not_decrypted() {
    const SHROUDED: [u8; 13] = [6, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 12, 10, 1, 2];
    const PBES2: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 5, 13];
    let workshop = workshop();
    export(&workshop, "-nomac", "geheim");
    let contents = rewrite(&workshop.read("hub.p12"), &[], &mut |bags| {
        let is_of_keys = element(bags).is_some_and(|(_, bag, _)| bag.starts_with(&SHROUDED));
        if is_of_keys {
            let mut second = bags.clone();
            let at = second.windows(PBES2.len()).position(|part| part == PBES2);
            // An algorithm that nobody knows.
            second[at.unwrap() + PBES2.len() - 1] = 99;
            bags.extend(second);
        }
    });
    let path = workshop.write("hub.p12", contents);
    let sentence = error(&path, open_pkcs12(&path, &mut password("geheim")));
    assert_eq!(sentence, "there is more than one private key in it");
}

#[test]
fn a_file_without_key() {
    let workshop = workshop();
    workshop.openssl("pkcs12 -export -nokeys -in hub.pem -passout pass: -out hub.p12");
    let path = workshop.path("hub.p12");
    let sentence = error(&path, open_pkcs12(&path, &mut never_asked));
    assert_eq!(sentence, "there is no private key in it");
}
