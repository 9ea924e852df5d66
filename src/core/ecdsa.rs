//! ECDSA signatures as certificates and protocols have them, from the numbers that devices give: tokens, TPMs and
//! secure elements answer `r` and `s`, a [`Signer`](super::key::Signer) gives DER.

use super::asn1::{INTEGER, SEQUENCE};
use super::key::SignError;

/// The longest number there is: P-521.
const MAX_NUMBER: usize = 66;

/// Writes the DER `SEQUENCE {r, s}` of two big-endian numbers, and gives its length.
///
/// # Errors
/// [`SignError::BufferTooSmall`]; [`SignError::Failed`] if the numbers are too long for any curve.
pub fn write(r: &[u8], s: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
    let numbers = [Number::new(r)?, Number::new(s)?];
    let len = numbers.iter().map(|number| 2 + number.len()).sum::<usize>() as u8;
    // A length of 128 and more takes a byte of its own (X.690 section 8.1.3.5).
    let head = if len < 0x80 {
        &[SEQUENCE, len][..]
    } else {
        &[SEQUENCE, 0x81, len]
    };
    let mut rest = Rest(out);
    rest.push(head)?;
    for number in &numbers {
        rest.push(&[INTEGER, number.len() as u8])?;
        rest.push(&[0][..usize::from(number.has_sign)])?;
        rest.push(number.digits)?;
    }
    Ok(head.len() + usize::from(len))
}

/// A number as an `INTEGER` has it: as short as it can be, and with a zero byte where it would be negative.
struct Number<'a> {
    has_sign: bool,
    digits: &'a [u8],
}

impl<'a> Number<'a> {
    fn new(mut digits: &'a [u8]) -> Result<Self, SignError> {
        while let [0, rest @ ..] = digits
            && !rest.is_empty()
        {
            digits = rest;
        }
        let first = digits.first().ok_or(SignError::Failed)?;
        let has_sign = *first >= 0x80;
        if digits.len() > MAX_NUMBER {
            return Err(SignError::Failed);
        }
        Ok(Self { has_sign, digits })
    }

    /// At most 67.
    fn len(&self) -> usize {
        usize::from(self.has_sign) + self.digits.len()
    }
}

/// What is still free of a buffer.
struct Rest<'a>(&'a mut [u8]);

impl Rest<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), SignError> {
        let room = core::mem::take(&mut self.0);
        let (room, rest) = room
            .split_at_mut_checked(bytes.len())
            .ok_or(SignError::BufferTooSmall)?;
        room.copy_from_slice(bytes);
        self.0 = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shortened_and_stay_positive() {
        let mut out = [0; 10];
        assert_eq!(write(&[0, 0, 5], &[0x80, 1], &mut out), Ok(10));
        assert_eq!(out, [0x30, 8, 2, 1, 5, 2, 3, 0, 0x80, 1]);
        assert_eq!(
            write(&[0, 0, 5], &[0x80, 1], &mut out[..9]),
            Err(SignError::BufferTooSmall)
        );
        assert_eq!(write(&[1; 67], &[1; 67], &mut out), Err(SignError::Failed));
        assert_eq!(write(&[], &[1], &mut out), Err(SignError::Failed));
    }

    #[test]
    fn the_longest_takes_a_longer_length() {
        let mut out = [0; 139];
        let number = [&[0; 2][..], &[1; 66]].concat();
        assert_eq!(write(&number, &number, &mut out), Ok(139));
        assert_eq!(out[..6], [0x30, 0x81, 136, 2, 66, 1]);
        assert_eq!(write(&[0], &number, &mut out), Ok(73));
        assert_eq!(out[..6], [0x30, 71, 2, 1, 0, 2]);
    }
}
