//! The ASN.1 of a key file (draft-bottomley-tpm2-keys, section 3.1), and that of its first version.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef, Utf8StringRef};
use der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};

use super::{KeyFile, KeyFileError, Kind, ParentKey, PolicyCommand, SignedPolicy, Template};

const LOADABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.3");
const IMPORTABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.4");
const SEALED: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.5");
/// A loadable key, in the format's first version.
const LEGACY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.2");

/// The numbers of the optional fields' tags.
mod field {
    pub const EMPTY_AUTH: u32 = 0;
    pub const POLICY: u32 = 1;
    pub const SECRET: u32 = 2;
    pub const AUTH_POLICY: u32 = 3;
    pub const DESCRIPTION: u32 = 4;
    pub const RSA_PARENT: u32 = 5;
    pub const LEGACY_PARENT: u32 = 1;
    pub const LEGACY_PUBKEY: u32 = 2;
    pub const LEGACY_POLICY: u32 = 3;
}

/// Whether these bytes begin as a key file in DER does.
pub fn is_key(der: &[u8]) -> bool {
    let Ok(mut sequence) = AnyRef::from_der(der).and_then(|any| inside(any, Tag::Sequence)) else {
        return false;
    };
    ObjectIdentifier::decode(&mut sequence)
        .is_ok_and(|kind| [LOADABLE, IMPORTABLE, SEALED, LEGACY].contains(&kind))
}

/// Reads a key file.
///
/// # Errors
/// [`KeyFileError`].
pub fn read(der: &[u8]) -> Result<KeyFile, KeyFileError> {
    let mut fields = AnyRef::from_der(der)
        .and_then(|any| inside(any, Tag::Sequence))
        .map_err(|_| KeyFileError::new("it is no TPMKey in DER"))?;
    let kind = ObjectIdentifier::decode(&mut fields).map_err(|_| wrong("type"))?;
    let optional = Optional::read(&mut fields)?;
    let file = match kind {
        LEGACY if !matches!(Tag::peek(&fields), Ok(Tag::Integer)) => legacy(&mut fields, &optional),
        LOADABLE | IMPORTABLE | LEGACY => current(kind, &mut fields, &optional),
        SEALED => Err(KeyFileError::with_remedy(
            "type: it is sealed data, and no key",
            "a key that signs is a loadable key (2.23.133.10.1.3)",
        )),
        other => Err(KeyFileError::new(format!(
            "type: {other} is no kind of key that is known here"
        ))),
    }?;
    // What a later version of the format adds, it adds as optional fields.
    Optional::read(&mut fields)?;
    fields
        .finish()
        .map_err(|_| KeyFileError::new("there is something behind privkey"))?;
    Ok(file)
}

fn current(
    kind: ObjectIdentifier,
    fields: &mut SliceReader<'_>,
    optional: &Optional<'_>,
) -> Result<KeyFile, KeyFileError> {
    let secret = optional.octets(field::SECRET, "secret")?;
    let kind = match (kind == IMPORTABLE, secret) {
        (false, None) => Kind::Loadable,
        (true, Some(secret)) => Kind::Importable {
            // Some writers leave the length out.
            secret: sized(secret).unwrap_or(secret).to_owned(),
        },
        (false, Some(_)) => {
            return Err(KeyFileError::new(
                "secret: a loadable key has none; importable keys do",
            ));
        }
        (true, None) => return Err(KeyFileError::new("secret: an importable key needs one")),
    };
    let template = match optional.boolean(field::RSA_PARENT, "rsaParent")? {
        Some(true) => Template::Rsa,
        _ => Template::Ecc,
    };
    let parent = take(fields, Tag::Integer, "parent")?;
    Ok(KeyFile {
        kind,
        empty_auth: optional.empty_auth()?,
        policy: optional.policy(field::POLICY)?,
        signed_policies: optional.signed_policies()?,
        description: optional.description()?,
        parent: ParentKey::from_handle(handle(parent)?, template)?,
        parent_name: None,
        public: area(take(fields, Tag::OctetString, "pubkey")?, "pubkey")?,
        private: area(take(fields, Tag::OctetString, "privkey")?, "privkey")?,
    })
}

/// `{ type, emptyAuth [0], parent [1], pubkey [2], policy [3], privkey }`
fn legacy(fields: &mut SliceReader<'_>, optional: &Optional<'_>) -> Result<KeyFile, KeyFileError> {
    let parent = optional
        .inner(field::LEGACY_PARENT, Tag::Integer, "parent")?
        .map(handle)
        .transpose()?;
    let public = optional
        .octets(field::LEGACY_PUBKEY, "pubkey")?
        .ok_or_else(|| wrong("pubkey"))?;
    Ok(KeyFile {
        kind: Kind::Loadable,
        empty_auth: optional.empty_auth()?,
        policy: optional.policy(field::LEGACY_POLICY)?,
        signed_policies: Vec::new(),
        description: None,
        parent: ParentKey::from_handle(parent.unwrap_or_default(), Template::Legacy)?,
        parent_name: None,
        public: area(public, "pubkey")?,
        private: area(take(fields, Tag::OctetString, "privkey")?, "privkey")?,
    })
}

/// The fields that may be there: by the number of the tag, what is in it.
struct Optional<'a>(Vec<(u32, &'a [u8])>);

impl<'a> Optional<'a> {
    fn read(fields: &mut SliceReader<'a>) -> Result<Self, KeyFileError> {
        let mut read = Vec::new();
        while let Ok(Tag::ContextSpecific { number, .. }) = Tag::peek(fields) {
            let any = AnyRef::decode(fields).map_err(|_| {
                KeyFileError::new(format!("the optional field [{number}] is cut off"))
            })?;
            if read.iter().any(|(known, _)| *known == number.value()) {
                return Err(KeyFileError::new(format!(
                    "the optional field [{number}] is there twice"
                )));
            }
            read.push((number.value(), any.value()));
        }
        Ok(Self(read))
    }

    fn inner(&self, number: u32, tag: Tag, name: &str) -> Result<Option<&'a [u8]>, KeyFileError> {
        let Some((_, content)) = self.0.iter().find(|(known, _)| *known == number) else {
            return Ok(None);
        };
        let any = AnyRef::from_der(content)
            .ok()
            .filter(|any| any.tag() == tag);
        any.map(|any| Some(any.value())).ok_or_else(|| wrong(name))
    }

    fn octets(&self, number: u32, name: &str) -> Result<Option<&'a [u8]>, KeyFileError> {
        self.inner(number, Tag::OctetString, name)
    }

    /// DER's TRUE is 0xFF; tpm2-openssl and others have written 0x01.
    fn boolean(&self, number: u32, name: &str) -> Result<Option<bool>, KeyFileError> {
        match self.inner(number, Tag::Boolean, name)? {
            None => Ok(None),
            Some([value]) => Ok(Some(*value != 0)),
            Some(_) => Err(wrong(name)),
        }
    }

    fn empty_auth(&self) -> Result<bool, KeyFileError> {
        Ok(self.boolean(field::EMPTY_AUTH, "emptyAuth")? == Some(true))
    }

    fn description(&self) -> Result<Option<String>, KeyFileError> {
        let text = self.inner(field::DESCRIPTION, Tag::Utf8String, "description")?;
        text.map(|text| String::from_utf8(text.to_owned()).map_err(|_| wrong("description")))
            .transpose()
    }

    fn policy(&self, number: u32) -> Result<Vec<PolicyCommand>, KeyFileError> {
        match self.inner(number, Tag::Sequence, "policy")? {
            None => Ok(Vec::new()),
            Some(commands) => commands_of(commands).map_err(|_| wrong("policy")),
        }
    }

    fn signed_policies(&self) -> Result<Vec<SignedPolicy>, KeyFileError> {
        let Some(policies) = self.inner(field::AUTH_POLICY, Tag::Sequence, "authPolicy")? else {
            return Ok(Vec::new());
        };
        signed(policies).map_err(|_| wrong("authPolicy"))
    }
}

/// `SEQUENCE OF TPMPolicy`
fn commands_of(der: &[u8]) -> der::Result<Vec<PolicyCommand>> {
    let mut reader = SliceReader::new(der)?;
    let mut commands = Vec::new();
    while !reader.is_finished() {
        let mut fields = inside(AnyRef::decode(&mut reader)?, Tag::Sequence)?;
        let code = explicit(&mut fields, 0)?.decode_as::<u32>()?;
        let body = explicit(&mut fields, 1)?.decode_as::<&OctetStringRef>()?;
        fields.finish()?;
        let body = body.as_bytes().to_owned();
        commands.push(PolicyCommand { code, body });
    }
    Ok(commands)
}

/// `SEQUENCE OF TPMAuthPolicy`
fn signed(der: &[u8]) -> der::Result<Vec<SignedPolicy>> {
    let mut reader = SliceReader::new(der)?;
    let mut policies = Vec::new();
    while !reader.is_finished() {
        let mut fields = inside(AnyRef::decode(&mut reader)?, Tag::Sequence)?;
        let name = match Tag::peek(&fields)? {
            tag if tag == context(0) => {
                let name = explicit(&mut fields, 0)?.decode_as::<Utf8StringRef<'_>>()?;
                Some(name.as_str().to_owned())
            }
            _ => None,
        };
        let commands = explicit(&mut fields, 1)?;
        commands.tag().assert_eq(Tag::Sequence)?;
        let commands = commands_of(commands.value())?;
        fields.finish()?;
        policies.push(SignedPolicy { name, commands });
    }
    Ok(policies)
}

/// Writes a key file, in such a way that tpm2-openssl and AWS's helper can read it: emptyAuth is always
/// there, and in DER (one of them takes its absence for TRUE, the other takes nothing but DER); what is
/// optional and not needed is not there.
///
/// # Errors
/// If something is too long for DER.
pub fn write(file: &KeyFile) -> der::Result<Vec<u8>> {
    let is_legacy = matches!(file.parent, ParentKey::Primary(_, Template::Legacy));
    let parent = file.parent.handle().to_be_bytes();
    let parent = UintRef::new(&parent)?.to_der()?;
    let public = octets(&with_len(&file.public)?)?;
    let policy = match &*file.policy {
        [] => None,
        commands => Some(policy(commands)?),
    };
    let kind = match file.kind {
        _ if is_legacy => LEGACY,
        Kind::Loadable => LOADABLE,
        Kind::Importable { .. } => IMPORTABLE,
    };
    let mut fields = kind.to_der()?;
    fields.extend(tagged(field::EMPTY_AUTH, &file.empty_auth.to_der()?)?);
    if is_legacy {
        fields.extend(tagged(field::LEGACY_PARENT, &parent)?);
        fields.extend(tagged(field::LEGACY_PUBKEY, &public)?);
        if let Some(policy) = &policy {
            fields.extend(tagged(field::LEGACY_POLICY, policy)?);
        }
    } else {
        if let Some(policy) = &policy {
            fields.extend(tagged(field::POLICY, policy)?);
        }
        if let Kind::Importable { secret } = &file.kind {
            fields.extend(tagged(field::SECRET, &octets(&with_len(secret)?)?)?);
        }
        if !file.signed_policies.is_empty() {
            let policies = signed_policies(&file.signed_policies)?;
            fields.extend(tagged(field::AUTH_POLICY, &policies)?);
        }
        if let Some(text) = &file.description {
            let text = Utf8StringRef::new(text)?.to_der()?;
            fields.extend(tagged(field::DESCRIPTION, &text)?);
        }
        if let ParentKey::Primary(_, Template::Rsa) = file.parent {
            fields.extend(tagged(field::RSA_PARENT, &true.to_der()?)?);
        }
        fields.extend(parent);
        fields.extend(public);
    }
    fields.extend(octets(&with_len(&file.private)?)?);
    sequence(&fields)
}

fn policy(commands: &[PolicyCommand]) -> der::Result<Vec<u8>> {
    let mut all = Vec::new();
    for command in commands {
        let mut fields = tagged(0, &command.code.to_der()?)?;
        fields.extend(tagged(1, &octets(&command.body)?)?);
        all.extend(sequence(&fields)?);
    }
    sequence(&all)
}

fn signed_policies(policies: &[SignedPolicy]) -> der::Result<Vec<u8>> {
    let mut all = Vec::new();
    for signed in policies {
        let mut fields = Vec::new();
        if let Some(name) = &signed.name {
            fields.extend(tagged(0, &Utf8StringRef::new(name)?.to_der()?)?);
        }
        fields.extend(tagged(1, &policy(&signed.commands)?)?);
        all.extend(sequence(&fields)?);
    }
    sequence(&all)
}

fn context(number: u32) -> Tag {
    TagNumber(number).context_specific(true)
}

fn tagged(number: u32, content: &[u8]) -> der::Result<Vec<u8>> {
    AnyRef::new(context(number), content)?.to_der()
}

fn sequence(content: &[u8]) -> der::Result<Vec<u8>> {
    AnyRef::new(Tag::Sequence, content)?.to_der()
}

fn octets(bytes: &[u8]) -> der::Result<Vec<u8>> {
    AnyRef::new(Tag::OctetString, bytes)?.to_der()
}

/// As a TPM2B has it (TPM 2.0 Part 2, section 10.4).
fn with_len(bytes: &[u8]) -> der::Result<Vec<u8>> {
    let len = u16::try_from(bytes.len()).map_err(|_| der::ErrorKind::Overflow)?;
    let mut all = Vec::from(len.to_be_bytes());
    all.extend(bytes);
    Ok(all)
}

/// What is in a TPM2B after its length.
fn sized(bytes: &[u8]) -> Option<&[u8]> {
    let (len, content) = bytes.split_first_chunk()?;
    (usize::from(u16::from_be_bytes(*len)) == content.len()).then_some(content)
}

fn area(bytes: &[u8], name: &str) -> Result<Vec<u8>, KeyFileError> {
    let content = sized(bytes).filter(|content| !content.is_empty());
    content.map(<[u8]>::to_owned).ok_or_else(|| {
        KeyFileError::new(format!(
            "{name}: it is not as long as its first two bytes say"
        ))
    })
}

/// A handle, from an INTEGER that some programs write as a number of 32 bits with a sign.
fn handle(integer: &[u8]) -> Result<u32, KeyFileError> {
    let mut bytes = integer;
    while let [0x00 | 0xff, rest @ ..] = bytes
        && bytes.len() > 4
    {
        bytes = rest;
    }
    let wrong = || KeyFileError::new("parent: it is no handle");
    let first = bytes.first().ok_or_else(wrong)?;
    let is_negative = integer.first().is_some_and(|byte| byte & 0x80 != 0);
    let fill = if is_negative && first & 0x80 != 0 {
        0xff
    } else {
        0
    };
    let mut number = [fill; 4];
    let at = number.len().checked_sub(bytes.len()).ok_or_else(wrong)?;
    number[at..].copy_from_slice(bytes);
    Ok(u32::from_be_bytes(number))
}

fn take<'a>(fields: &mut SliceReader<'a>, tag: Tag, name: &str) -> Result<&'a [u8], KeyFileError> {
    let any = AnyRef::decode(fields).ok().filter(|any| any.tag() == tag);
    any.map(AnyRef::value).ok_or_else(|| wrong(name))
}

fn explicit<'a>(fields: &mut SliceReader<'a>, number: u32) -> der::Result<AnyRef<'a>> {
    let any = AnyRef::decode(fields)?;
    any.tag().assert_eq(context(number))?;
    AnyRef::from_der(any.value())
}

fn inside(any: AnyRef<'_>, tag: Tag) -> der::Result<SliceReader<'_>> {
    any.tag().assert_eq(tag)?;
    SliceReader::new(any.value())
}

fn wrong(name: &str) -> KeyFileError {
    KeyFileError::new(format!("{name}: it is missing, or not what it should be"))
}
