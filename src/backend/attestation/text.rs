//! Bytes as text, in formats for people; as they are in others.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::core::text::{Base64Text, Hex};

/// Base64, without line breaks.
pub mod base64 {
    use super::*;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(&Base64Text(bytes));
        }
        bytes.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        if deserializer.is_human_readable() {
            return decoded(&String::deserialize(deserializer)?).map_err(D::Error::custom);
        }
        Vec::deserialize(deserializer)
    }
}

/// A list of base64 texts.
pub mod base64_list {
    use super::*;

    pub fn serialize<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_seq(list.iter().map(|bytes| Base64Text(bytes).to_string()));
        }
        list.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        if deserializer.is_human_readable() {
            let texts = Vec::<String>::deserialize(deserializer)?;
            let list = texts.iter().map(|text| decoded(text)).collect();
            return Result::<_, String>::map_err(list, D::Error::custom);
        }
        Vec::deserialize(deserializer)
    }
}

/// Lower-case hexadecimal.
pub mod hex {
    use super::*;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(&Hex(bytes));
        }
        bytes.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer);
        }
        let text = String::deserialize(deserializer)?;
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes.ok_or_else(|| D::Error::custom(format!("`{text}` is not lower-case hexadecimal")))
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    Base64::decode_vec(text).map_err(|_| "not base64".into())
}
