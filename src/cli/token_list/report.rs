//! What is in tokens, for people and for programs.

use core::fmt::Write as _;
use std::format;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Value, json};

use crate::backend::pkcs11::{FoundCertificate, FoundKey, FoundSlot, Inventory, PinState};
use crate::core::text::Printable;
use crate::core::x509::Certificate;
use crate::host::pkix::name_text;
use crate::host::serial::Serial;

/// How many mechanisms stand in a line.
const MECHANISMS: usize = 4;

/// For people.
pub fn text(inventory: &Inventory, module: &Path, is_logged_in: bool) -> String {
    let mut text = format!("{}: {}\n", module.display(), Printable(&inventory.module));
    if inventory.slots.is_empty() {
        text += "no slot is meant\n";
    }
    for slot in &inventory.slots {
        text.push('\n');
        add_slot(&mut text, slot, is_logged_in);
    }
    text
}

/// A line. Writing into a string does not fail.
fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<12} {}", Printable(value));
}

fn add_slot(text: &mut String, slot: &FoundSlot, is_logged_in: bool) {
    let hardware = if slot.hardware { " (hardware)" } else { "" };
    let description = Printable(&slot.description);
    let _ = writeln!(text, "slot {}  {description}{hardware}", slot.id);
    if let Some(token) = &slot.token {
        line(text, "token", &token.label);
        if let Some(uri) = &slot.uri {
            line(text, "URI", &uri.to_string());
        }
        if slot.initialized {
            add_token(text, slot, is_logged_in);
        } else {
            line(
                text,
                "state",
                "not set up (CKF_TOKEN_INITIALIZED is missing)",
            );
        }
    } else if slot.problem.is_none() {
        line(text, "token", "(none)");
    }
    if let Some(problem) = &slot.problem {
        line(text, "PROBLEM", problem);
    }
}

fn add_token(text: &mut String, slot: &FoundSlot, is_logged_in: bool) {
    let login = match (slot.login_required, slot.pin_pad) {
        (false, _) => "no login is needed",
        (true, false) => "needed to log in",
        (true, true) => "needed to log in, typed on the token",
    };
    line(
        text,
        "PIN",
        &format!("{login}; {}", pin_text(slot.user_pin)),
    );
    line(text, "SO PIN", pin_text(slot.so_pin));
    for (index, names) in slot.mechanisms.chunks(MECHANISMS).enumerate() {
        let name = if index == 0 { "mechanisms" } else { "" };
        line(text, name, &names.join(" "));
    }
    for key in &slot.keys {
        line(text, "key", &key_text(key));
        line(text, "", &key.uri.to_string());
    }
    for certificate in &slot.certificates {
        line(text, "certificate", &certificate_text(certificate));
        line(text, "", &certificate.uri.to_string());
    }
    if slot.login_required && !is_logged_in {
        let hidden = "what is private shows only after a login: --pin-source";
        line(text, "note", hidden);
    }
}

fn pin_text(state: PinState) -> &'static str {
    match state {
        PinState::Ok => "nothing is wrong with it",
        PinState::CountLow => "a wrong one was given since the last right one",
        PinState::FinalTry => "ONE TRY LEFT",
        PinState::Locked => "LOCKED",
        PinState::NotSet => "never set",
        PinState::ToBeChanged => "has to be changed",
    }
}

fn key_text(key: &FoundKey) -> String {
    let mut text = key.kind.clone().unwrap_or_else(|| "of unknown kind".into());
    text += match (key.sensitive, key.extractable) {
        (true, false) => ", cannot leave the token",
        (_, true) => ", EXTRACTABLE",
        (false, false) => ", NOT SENSITIVE",
    };
    if key.always_authenticate {
        text += ", wants the PIN for each signature";
    }
    text
}

fn certificate_text(found: &FoundCertificate) -> String {
    match Certificate::from_der(&found.der) {
        Ok(certificate) => format!(
            "{}, until {}",
            name_text(certificate.subject),
            certificate.not_after
        ),
        Err(error) => error.to_string(),
    }
}

/// For programs: the schema is in docs/commands.md.
pub fn json(inventory: &Inventory, module: &Path, is_logged_in: bool) -> Value {
    let slots = inventory.slots.iter();
    json!({
        "module": module.to_string_lossy(),
        "description": inventory.module,
        "slots": slots.map(|slot| slot_json(slot, is_logged_in)).collect::<Vec<_>>(),
    })
}

fn slot_json(slot: &FoundSlot, is_logged_in: bool) -> Value {
    let token = slot.token.as_ref().map(|token| {
        json!({
            "uri": slot.uri.as_ref().map(ToString::to_string),
            "label": token.label,
            "manufacturer": token.manufacturer,
            "model": token.model,
            "serial": token.serial,
            "initialized": slot.initialized,
            "loginRequired": slot.login_required,
            "loggedIn": is_logged_in && slot.login_required && slot.problem.is_none(),
            "pinPad": slot.pin_pad,
            "userPin": pin_word(slot.user_pin),
            "soPin": pin_word(slot.so_pin),
            "mechanisms": slot.mechanisms,
        })
    });
    let keys = slot.keys.iter().map(|key| {
        json!({
            "uri": key.uri.to_string(),
            "kind": key.kind,
            "sensitive": key.sensitive,
            "extractable": key.extractable,
            "alwaysAuthenticate": key.always_authenticate,
        })
    });
    json!({
        "id": slot.id,
        "description": slot.description,
        "hardware": slot.hardware,
        "token": token,
        "keys": keys.collect::<Vec<_>>(),
        "certificates": slot.certificates.iter().map(certificate_json).collect::<Vec<_>>(),
        "problem": slot.problem,
    })
}

fn certificate_json(found: &FoundCertificate) -> Value {
    let mut shown = json!({ "uri": found.uri.to_string() });
    if let Ok(certificate) = Certificate::from_der(&found.der) {
        shown["subject"] = name_text(certificate.subject).into();
        shown["issuer"] = name_text(certificate.issuer).into();
        shown["serial"] = Serial::new(certificate.serial).to_string().into();
        shown["notBefore"] = certificate.not_before.to_string().into();
        shown["notAfter"] = certificate.not_after.to_string().into();
    }
    shown
}

fn pin_word(state: PinState) -> &'static str {
    match state {
        PinState::Ok => "ok",
        PinState::CountLow => "count-low",
        PinState::FinalTry => "final-try",
        PinState::Locked => "locked",
        PinState::NotSet => "not-set",
        PinState::ToBeChanged => "to-be-changed",
    }
}
