//! Signs with a key in a TPM as often as it is told: `signing-tpm WAY TCTI KEY AUTH KIND FOLDER CERTIFICATE`.
//! KEY is a `tpm:` URI; AUTH is its auth value, which may be empty. For each number on standard input it makes
//! as many signatures, and says on standard output how many nanoseconds that took. FOLDER is for what keystead
//! remembers; CERTIFICATE is a file, DER, or empty.

use std::env;
use std::fs;
use std::time::Duration;

use figures::{MESSAGE, serve};
use keystead::backend::isolated::{Environment, IsolatedTpm, Starter};
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::tpm::{
    Access, AuthRequest, Device, Direct, KeyName, KeyPlace, Local, Object, OpenKey, Operator, Uri,
};
use keystead::core::key::{Scheme, Signer as _};
use tss_esapi::Context;
use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::SessionType;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Auth, Digest, HashScheme, HashcheckTicket, SignatureScheme, SymmetricDefinition,
};
use tss_esapi::tss2_esys::{TPM2B_DIGEST, TPMT_TK_HASHCHECK};

/// What a TPM is given in place of the message. Nobody hashes that for those who call libtss2 straight;
/// keystead's signer does.
const DIGEST: [u8; 32] = [7; 32];

struct StoredAuth(String);

impl Operator for StoredAuth {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        let is_asked = request.of == Object::Key && !self.0.is_empty();
        Ok(is_asked.then(|| Secret::new(self.0.clone().into_bytes())))
    }

    fn is_person(&self) -> bool {
        false
    }
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [way, tcti, key, auth, kind, folder, certificate] = &arguments[..] else {
        panic!("signing-tpm WAY TCTI KEY AUTH KIND FOLDER CERTIFICATE");
    };
    let key: Uri = key.parse().expect("a URI");
    let request = OpenKey {
        key: match &key.key {
            KeyName::Handle(handle) => KeyPlace::Handle(*handle),
            KeyName::File(file) => KeyPlace::File {
                name: file.display().to_string(),
                contents: fs::read(file).expect("the file can be read"),
            },
        },
        certificates: match certificate.is_empty() {
            true => Vec::new(),
            false => vec![fs::read(certificate).expect("the certificate can be read")],
        },
        salt: key.salt.clone(),
    };
    let is_rsa = kind == "rsa";
    let access = |plain_auth| Access {
        tcti: tcti.clone(),
        state: Some(folder.into()),
        plain_auth,
        timeout: Duration::from_secs(30),
    };
    let (way, plain) = match way.strip_suffix(" plain") {
        Some(way) => (way, true),
        None => (&way[..], false),
    };
    match way {
        "straight" => straight(tcti, &key, auth, is_rsa, plain),
        "in process" => through_keystead(&mut Local::new(access(plain)), &request, auth, is_rsa),
        "direct" => through_keystead(&mut Direct::new(access(plain)), &request, auth, is_rsa),
        "isolated" => {
            let this = env::current_exe().expect("a program knows its own file");
            let starter = Starter::direct(Starter::beside(&this), Environment::default());
            let mut tpm = IsolatedTpm::new(starter, access(plain));
            through_keystead(&mut tpm, &request, auth, is_rsa);
        }
        _ => panic!("WAY is straight, in process, direct or isolated, each also with ` plain`"),
    }
}

/// TPM2_Sign through tss-esapi with nothing around it, authorised like keystead's signer does it: by the
/// plain value, or by a session with parameter encryption.
fn straight(tcti: &str, key: &Uri, auth: &str, is_rsa: bool, plain: bool) {
    let KeyName::Handle(handle) = key.key else {
        panic!("only keys at handles are used straight");
    };
    let tcti = tcti.parse().expect("a TCTI");
    let mut context = Context::new(tcti).expect("the TPM can be reached");
    let persistent = PersistentTpmHandle::new(handle).expect("a persistent handle");
    let object = context.execute_without_session(|context| {
        context.tr_from_tpm_public(TpmHandle::Persistent(persistent))
    });
    let object: ObjectHandle = object.expect("the key is in the TPM");
    let value = Auth::try_from(auth.as_bytes()).expect("an auth value");
    context.tr_set_auth(object, value).expect("it has one");
    let session = match auth.is_empty() || plain {
        true => AuthSession::Password,
        false => session(&mut context),
    };
    let key = KeyHandle::from(object);
    let hash_scheme = HashScheme::new(HashingAlgorithm::Sha256);
    let scheme = match is_rsa {
        true => SignatureScheme::RsaSsa { hash_scheme },
        false => SignatureScheme::EcDsa { hash_scheme },
    };
    serve(|| {
        let digest = Digest::try_from(&DIGEST[..]).expect("a digest");
        let signed = context.execute_with_session(Some(session), |context| {
            context.sign(key, digest, scheme, no_ticket())
        });
        signed.map(|_| 1).expect("TPM2_Sign")
    });
}

fn session(context: &mut Context) -> AuthSession {
    let started = context.start_auth_session(
        None,
        None,
        None,
        SessionType::Hmac,
        SymmetricDefinition::AES_128_CFB,
        HashingAlgorithm::Sha256,
    );
    let session = started.expect("TPM2_StartAuthSession").expect("a session");
    let (attributes, mask) = SessionAttributesBuilder::new()
        // What goes in; a signature, which is no sized structure, cannot come out so.
        .with_decrypt(true)
        .with_continue_session(true)
        .build();
    let set = context.tr_sess_set_attributes(session, attributes, mask);
    set.expect("a session has attributes");
    session
}

fn no_ticket() -> HashcheckTicket {
    let ticket = TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: TPM2B_DIGEST::default(),
    };
    ticket.try_into().expect("a ticket")
}

fn through_keystead(device: &mut dyn Device, request: &OpenKey, auth: &str, is_rsa: bool) {
    let opened = device.open(request, Box::new(StoredAuth(auth.to_owned())));
    let mut signer = opened.expect("the key can be opened").signer;
    let scheme = match is_rsa {
        true => Scheme::RsaPkcs1Sha256,
        false => Scheme::EcdsaSha256,
    };
    let mut out = [0; 512];
    serve(|| {
        signer
            .sign(scheme, &MESSAGE, &mut out)
            .expect("a signature")
    });
}
