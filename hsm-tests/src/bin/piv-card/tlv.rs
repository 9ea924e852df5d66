//! Tags, lengths and values: BER-TLV of card commands, DER of keys and certificates.

/// A tag with its value.
pub fn tlv(tag: u32, value: &[u8]) -> Vec<u8> {
    let bytes = tag.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut out = bytes[zeros.min(3)..].to_vec();
    let length = value.len();
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => {
            out.push(0x82);
            out.extend((length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(value);
    out
}

/// The first tag, its value, and what follows. `None` if the bytes end before it does.
pub fn read(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut tag = u32::from(first);
    if first & 0x1f == 0x1f {
        loop {
            let (&next, after) = rest.split_first()?;
            tag = tag.checked_mul(256)? | u32::from(next);
            rest = after;
            if next & 0x80 == 0 {
                break;
            }
        }
    }
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest
            .split_first()
            .map(|(l, rest)| (usize::from(*l), rest))?,
        0x82 => rest
            .split_first_chunk()
            .map(|(l, rest)| (usize::from(u16::from_be_bytes(*l)), rest))?,
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

/// The tags of a value, in order; ends at the first that is broken.
pub fn all(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, value, rest) = read(bytes)?;
        bytes = rest;
        Some((tag, value))
    })
}

/// The value of a tag among others.
pub fn find(bytes: &[u8], tag: u32) -> Option<&[u8]> {
    all(bytes)
        .find(|(found, _)| *found == tag)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 255, 256, 3000] {
            for tag in [0x53, 0x5c, 0x7f49] {
                let value = vec![7; length];
                let written = [tlv(tag, &value), vec![9]].concat();
                assert_eq!(read(&written), Some((tag, &value[..], &[9][..])));
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_none() {
        let whole = tlv(0x7f49, &[1; 300]);
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
    }
}
