//! ECDSA signatures as certificates and protocols have them, from the numbers that devices give: tokens, TPMs and
//! secure elements answer `r` and `s`, a [`Signer`](super::key::Signer) gives DER.

use der::asn1::UintRef;
use der::{Encode as _, Header, Length, SliceWriter, Tag};

use super::key::SignError;

/// The longest there is: P-521.
const MAX_LEN: usize = 139;

/// Writes the DER `SEQUENCE {r, s}` of two big-endian numbers, and gives its length.
///
/// # Errors
/// [`SignError::BufferTooSmall`]; [`SignError::Failed`] if the numbers are too long for any curve.
pub fn write(r: &[u8], s: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
    let mut buffer = [0; MAX_LEN];
    let encode = |buffer: &mut [u8]| -> der::Result<usize> {
        let (r, s) = (UintRef::new(r)?, UintRef::new(s)?);
        let len: Length = (r.encoded_len()? + s.encoded_len()?)?;
        let mut writer = SliceWriter::new(buffer);
        Header::new(Tag::Sequence, len).encode(&mut writer)?;
        r.encode(&mut writer)?;
        s.encode(&mut writer)?;
        Ok(writer.finish()?.len())
    };
    let len = encode(&mut buffer).map_err(|_| SignError::Failed)?;
    let place = out.get_mut(..len).ok_or(SignError::BufferTooSmall)?;
    place.copy_from_slice(&buffer[..len]);
    Ok(len)
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
        assert_eq!(write(&[1; 70], &[1; 70], &mut out), Err(SignError::Failed));
    }
}
