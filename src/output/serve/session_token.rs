//! The session tokens of IMDSv2. Nothing is kept of them: a token says itself until when it is valid, under
//! a key that is made when the server starts. So a flood of requests for tokens costs no memory.

use core::ops::RangeInclusive;
use core::time::Duration;
use std::string::String;
use std::time::Instant;

use base64ct::{Base64, Encoding as _};
use ring::error::Unspecified;
use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::{SecureRandom as _, SystemRandom};

/// How long a token may be asked to live, in seconds.
pub const TTL: RangeInclusive<u32> = 1..=21_600;

/// Milliseconds since the server started, and as many random bytes: two tokens of one moment are two.
const EXPIRY_LEN: usize = 8;
const BODY_LEN: usize = 2 * EXPIRY_LEN;
const TAG_LEN: usize = 32;
const LEN: usize = BODY_LEN + TAG_LEN;
const TEXT_LEN: usize = LEN / 3 * 4;

/// Makes tokens, and knows its own.
pub struct SessionTokens {
    key: Key,
    random: SystemRandom,
    started: Instant,
}

impl SessionTokens {
    /// With a new key: what another process made is not valid here.
    ///
    /// # Errors
    /// [`Unspecified`] if the system has no randomness.
    pub fn new() -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        Ok(Self {
            key: Key::generate(HMAC_SHA256, &random)?,
            random,
            started: Instant::now(),
        })
    }

    /// A token that is valid for `ttl` seconds.
    ///
    /// # Errors
    /// [`Unspecified`] if the system has no randomness.
    pub fn issue(&self, ttl: u32) -> Result<String, Unspecified> {
        self.issue_at(self.started.elapsed(), ttl)
    }

    /// For how many seconds more a token is valid, rounded up; `None` if it is not.
    pub fn remaining(&self, token: &[u8]) -> Option<u32> {
        self.remaining_at(self.started.elapsed(), token)
    }

    fn issue_at(&self, now: Duration, ttl: u32) -> Result<String, Unspecified> {
        let end = now + Duration::from_secs(ttl.into());
        let end = u64::try_from(end.as_millis()).map_err(|_| Unspecified)?;
        let mut token = [0; LEN];
        let (body, tag) = token.split_at_mut(BODY_LEN);
        let (expiry, random) = body.split_at_mut(EXPIRY_LEN);
        expiry.copy_from_slice(&end.to_be_bytes());
        self.random.fill(random)?;
        tag.copy_from_slice(hmac::sign(&self.key, body).as_ref());
        Ok(Base64::encode_string(&token))
    }

    fn remaining_at(&self, now: Duration, token: &[u8]) -> Option<u32> {
        if token.len() != TEXT_LEN {
            return None;
        }
        let mut bytes = [0; LEN];
        let (body, tag) = Base64::decode(token, &mut bytes)
            .ok()?
            .split_at_checked(BODY_LEN)?;
        // In constant time.
        hmac::verify(&self.key, body, tag).ok()?;
        let expiry = body.first_chunk().copied().map(u64::from_be_bytes)?;
        let left = Duration::from_millis(expiry).checked_sub(now)?;
        let seconds = left.as_millis().div_ceil(1000);
        u32::try_from(seconds).ok().filter(|&left| left > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::vec::Vec;

    const START: Duration = Duration::from_secs(5);

    #[test]
    fn a_token_lives_as_long_as_it_was_asked_for() {
        let tokens = SessionTokens::new().unwrap();
        for ttl in [1, 60, 21_600] {
            let token = tokens.issue_at(START, ttl).unwrap();
            let at = |seconds: f64| {
                tokens.remaining_at(START + Duration::from_secs_f64(seconds), token.as_bytes())
            };
            assert_eq!(at(0.0), Some(ttl));
            assert_eq!(at(0.5), Some(ttl));
            assert_eq!(at(f64::from(ttl) - 0.001), Some(1));
            assert_eq!(at(f64::from(ttl)), None);
            assert_eq!(at(f64::from(ttl) + 86_400.0), None);
        }
    }

    #[test]
    fn each_is_another_one() {
        let tokens = SessionTokens::new().unwrap();
        let all: HashSet<_> = (0..1000)
            .map(|_| tokens.issue_at(START, 60).unwrap())
            .collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|token| token.len() == TEXT_LEN));
    }

    #[test]
    fn another_servers_token_is_none() {
        let [ours, theirs] = [(); 2].map(|()| SessionTokens::new().unwrap());
        let token = theirs.issue(60).unwrap();
        assert_eq!(theirs.remaining(token.as_bytes()), Some(60));
        assert_eq!(ours.remaining(token.as_bytes()), None);
    }

    #[test]
    fn what_was_changed_is_none() {
        let tokens = SessionTokens::new().unwrap();
        let token = tokens.issue_at(START, 60).unwrap();
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens.remaining_at(START, &changed), None, "{index}");
        }
        let short = &token.as_bytes()[1..];
        assert_eq!(tokens.remaining_at(START, short), None);
    }

    proptest! {
        #[test]
        fn anything_else_is_none(token in proptest::collection::vec(any::<u8>(), 0..100)) {
            let tokens = SessionTokens::new().unwrap();
            prop_assert_eq!(tokens.remaining(&token), None);
            let text: Vec<u8> = token.iter().map(|byte| b'A' + byte % 26).collect();
            prop_assert_eq!(tokens.remaining(&text), None);
        }
    }
}
