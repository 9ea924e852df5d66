//! Files in the layouts of IBM's create_tpm2_key and others, put together by OpenSSL.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hsm_tests::Swtpm;
use hsm_tests::program::{command, private_key, run};

use super::{NONE, sign};

/// The fields of a file, as `openssl asn1parse -genconf` has them.
pub struct Layout {
    fields: Vec<(String, String)>,
    sections: String,
    label: &'static str,
}

impl Layout {
    pub fn new(kind: &str) -> Self {
        Self {
            fields: vec![("type".to_owned(), format!("OID:{kind}"))],
            sections: String::new(),
            label: "TSS2 PRIVATE KEY",
        }
    }

    pub fn loadable() -> Self {
        Self::new("2.23.133.10.1.3")
    }

    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A field that is what is in a file of the test's.
    pub fn contents(self, tpm: &Swtpm, name: &str, tag: &str, file: &str) -> Self {
        let bytes = fs::read(tpm.folder().join(file)).expect("the file is there");
        let value = format!("{tag}FORMAT:HEX,OCTETSTRING:{}", hex(&bytes));
        self.field(name, &value)
    }

    /// `pubkey` and `privkey`.
    pub fn key(self, tpm: &Swtpm) -> Self {
        self.contents(tpm, "pubkey", "", "k.pub")
            .contents(tpm, "privkey", "", "k.priv")
    }

    /// `policy`: commands and their parameters.
    pub fn policy(mut self, commands: &[(u32, Vec<u8>)]) -> Self {
        self = self.field("policy", "EXPLICIT:1,SEQUENCE:policy");
        let mut list = "[policy]\n".to_owned();
        for (number, (code, body)) in commands.iter().enumerate() {
            writeln!(list, "{number}=SEQUENCE:command{number}").unwrap();
            let body = match body.is_empty() {
                true => "OCTETSTRING:".to_owned(),
                false => format!("FORMAT:HEX,OCTETSTRING:{}", hex(body)),
            };
            writeln!(
                self.sections,
                "[command{number}]\ncode=EXPLICIT:0,INTEGER:{code}\n\
                 body=EXPLICIT:1,{body}"
            )
            .unwrap();
        }
        self.sections += &list;
        self
    }

    /// DER.
    pub fn der(&self, tpm: &Swtpm) -> Vec<u8> {
        let mut text = "asn1=SEQUENCE:key\n[key]\n".to_owned();
        for (name, value) in &self.fields {
            writeln!(text, "{name}={value}").unwrap();
        }
        text += &self.sections;
        let write = tpm.folder().join("layout.conf");
        fs::write(&write, text).expect("the test's folder can be written to");
        let der = tpm.folder().join("layout.der");
        let mut asn1parse = command("openssl");
        asn1parse
            .args(["asn1parse", "-noout", "-genconf"])
            .arg(write);
        run(asn1parse.arg("-out").arg(&der)).success();
        fs::read(der).expect("OpenSSL has written it")
    }

    /// The file.
    pub fn write(&self, tpm: &Swtpm) -> PathBuf {
        pem(tpm, self.label, &self.der(tpm))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pem(tpm: &Swtpm, label: &str, der: &[u8]) -> PathBuf {
    fs::write(tpm.folder().join("der"), der).expect("the test's folder can be written to");
    let base64 = run(tpm.command("openssl").args(["base64", "-in", "der"])).success();
    let text = format!("-----BEGIN {label}-----\n{base64}-----END {label}-----\n");
    fs::write(tpm.folder().join("key.tss2"), text).expect("the test's folder can be written to");
    "key.tss2".into()
}

const ATTRIBUTES: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda";
const STORAGE: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt";

/// A key under a primary key of a hierarchy, in `k.pub` and `k.priv`: what the primary key is made by.
#[track_caller]
pub fn under_primary(tpm: &Swtpm, hierarchy: &str, algorithm: &str, attributes: &str) {
    tpm.tool(&format!(
        "createprimary -Q -C {hierarchy} -g sha256 -G {algorithm}:aes128cfb -a {attributes} -c p.ctx"
    ));
    under(tpm, "p.ctx", "");
    tpm.tool("flushcontext -t");
}

#[track_caller]
pub fn under(tpm: &Swtpm, parent: &str, more: &str) {
    tpm.tool(&format!(
        "create -Q -C {parent} -G ecc256:null:null -a {ATTRIBUTES} -u k.pub -r k.priv{more}"
    ));
}

#[test]
fn every_hierarchy_is_a_parent() {
    let tpm = Swtpm::new();
    for (hierarchy, parent) in [
        ("o", "INTEGER:0x40000001"),
        ("o", "INTEGER:0"),
        ("e", "INTEGER:0x4000000B"),
        ("p", "INTEGER:0x4000000C"),
        ("n", "INTEGER:0x40000007"),
    ] {
        under_primary(&tpm, hierarchy, "ecc256", &format!("{STORAGE}|noda"));
        let file = Layout::loadable()
            .field("emptyAuth", "EXPLICIT:0,BOOLEAN:TRUE")
            .field("parent", parent)
            .key(&tpm)
            .write(&tpm);
        sign(&tpm, &file, NONE).unwrap_or_else(|error| panic!("{hierarchy}: {error}"));
    }
}

#[test]
fn every_form_of_empty_auth_and_parent_is_read() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    under(&tpm, "0x81000001", "");
    let forms = [
        (Some("TRUE"), "INTEGER:0x81000001"),
        (Some("FALSE"), "INTEGER:0x81000001"),
        (None, "INTEGER:0x81000001"),
        // A number of 32 bits with a sign.
        (Some("TRUE"), "INTEGER:-0x7EFFFFFF"),
    ];
    for (empty_auth, parent) in forms {
        let mut layout = Layout::loadable();
        if let Some(value) = empty_auth {
            layout = layout.field("emptyAuth", &format!("EXPLICIT:0,BOOLEAN:{value}"));
        }
        let layout = layout.field("parent", parent).key(&tpm);
        sign(&tpm, &layout.write(&tpm), NONE)
            .unwrap_or_else(|error| panic!("{empty_auth:?}, {parent}: {error}"));
    }
    // TRUE as it must not be in DER.
    let layout = Layout::loadable()
        .field("emptyAuth", "EXPLICIT:0,BOOLEAN:TRUE")
        .field("parent", "INTEGER:0x81000001")
        .key(&tpm);
    let mut der = layout.der(&tpm);
    let place = der
        .windows(5)
        .position(|field| field == [0xa0, 3, 1, 1, 0xff]);
    der[place.unwrap() + 4] = 1;
    sign(&tpm, &pem(&tpm, "TSS2 PRIVATE KEY", &der), NONE).unwrap();
    // DER alone.
    fs::write(tpm.folder().join("key.der"), &der).unwrap();
    sign(&tpm, Path::new("key.der"), NONE).unwrap();
}

#[test]
fn fields_that_are_not_needed_are_no_hindrance() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    under(&tpm, "0x81000001", "");
    let file = Layout::loadable()
        .field("emptyAuth", "EXPLICIT:0,BOOLEAN:TRUE")
        // That which the key can be used without, since it has userWithAuth.
        .policy(&[(0x171, vec![1, 2, 3])])
        .field("description", "EXPLICIT:4,UTF8String:a hub's key")
        .field("rsaParent", "EXPLICIT:5,BOOLEAN:FALSE")
        .field("parentName", "EXPLICIT:6,FORMAT:HEX,OCTETSTRING:000b")
        .field("parent", "INTEGER:0x81000001")
        .key(&tpm)
        .write(&tpm);
    sign(&tpm, &file, NONE).unwrap();
}

#[test]
fn an_rsa_primary_key_is_a_parent() {
    let tpm = Swtpm::new();
    under_primary(&tpm, "o", "rsa2048", &format!("{STORAGE}|noda"));
    let file = Layout::loadable()
        .field("rsaParent", "EXPLICIT:5,BOOLEAN:TRUE")
        .field("parent", "INTEGER:0x40000001")
        .key(&tpm)
        .write(&tpm);
    sign(&tpm, &file, NONE).unwrap();
}

#[test]
fn the_formats_first_version_is_read() {
    let tpm = Swtpm::new();
    let attributes = "sensitivedataorigin|userwithauth|restricted|decrypt|noda";
    tpm.tool(&format!(
        "createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -a {attributes} -c p.ctx"
    ));
    tpm.tool(
        "create -Q -C p.ctx -G ecc256:null:null -a sensitivedataorigin|userwithauth|sign|noda -u k.pub -r k.priv",
    );
    tpm.tool("flushcontext -t");
    for parent in [Some("EXPLICIT:1,INTEGER:0x40000001"), None] {
        let mut layout = Layout::new("2.23.133.10.2");
        layout.label = "TSS2 KEY BLOB";
        layout = layout.field("emptyAuth", "EXPLICIT:0,BOOLEAN:TRUE");
        if let Some(parent) = parent {
            layout = layout.field("parent", parent);
        }
        let file = layout
            .contents(&tpm, "pubkey", "EXPLICIT:2,", "k.pub")
            .contents(&tpm, "privkey", "", "k.priv")
            .write(&tpm);
        sign(&tpm, &file, NONE).unwrap();
    }
}

/// Wraps a key of OpenSSL's for the storage root key, into `dup.pub`, `dup.priv` and `seed`.
#[track_caller]
fn wrap(tpm: &Swtpm, algorithm: &str, kind: &str) {
    tpm.tool("readpublic -Q -c 0x81000001 -o parent.pub");
    private_key(algorithm, &tpm.folder().join("outside.pem"));
    tpm.tool(&format!(
        "duplicate -U parent.pub -G {kind} -k outside.pem -u dup.pub -r dup.priv -s seed"
    ));
}

fn importable(tpm: &Swtpm, parent: &str) -> Layout {
    Layout::new("2.23.133.10.1.4")
        .field("emptyAuth", "EXPLICIT:0,BOOLEAN:TRUE")
        .contents(tpm, "secret", "EXPLICIT:2,", "seed")
        .field("parent", parent)
        .contents(tpm, "pubkey", "", "dup.pub")
        .contents(tpm, "privkey", "", "dup.priv")
}

#[test]
fn keys_that_were_made_elsewhere_are_imported() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    for (algorithm, kind) in [("EC:P-256", "ecc"), ("RSA:2048", "rsa")] {
        wrap(&tpm, algorithm, kind);
        // The storage root key is the hierarchy's primary key.
        for parent in ["INTEGER:0x81000001", "INTEGER:0x40000001"] {
            let file = importable(&tpm, parent).write(&tpm);
            sign(&tpm, &file, NONE)
                .unwrap_or_else(|error| panic!("{algorithm}, {parent}: {error}"));
        }
    }
    let seed = fs::read(tpm.folder().join("seed")).unwrap();
    fs::write(tpm.folder().join("seed"), &seed[2..]).unwrap();
    let file = importable(&tpm, "INTEGER:0x81000001").write(&tpm);
    sign(&tpm, &file, NONE).expect("a secret without its length is read, too");
}

#[test]
fn keys_that_were_wrapped_for_another_parent_are_refused_by_name() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    wrap(&tpm, "EC:P-256", "ecc");
    let other = Swtpm::new();
    other.make_storage_root();
    for file in ["dup.pub", "dup.priv", "seed"] {
        fs::copy(tpm.folder().join(file), other.folder().join(file)).unwrap();
    }
    let file = importable(&other, "INTEGER:0x81000001").write(&other);
    let error = sign(&other, &file, NONE).unwrap_err();
    let says = "secret: the key was not wrapped for the key at 0x81000001 of this TPM";
    assert!(error.to_string().contains(says), "{error}");
}
