//! Whatever is written, read, or shown by the clocks.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_entry_is_read_as_it_was_written(
        texts in proptest::array::uniform3("\\PC{0,40}"),
        secrets in proptest::array::uniform3("[!-~]{1,60}"),
        since in 0..u64::MAX / 2,
        life in 0..100_000_000u64,
        expiration in 0..250_000_000_000u64,
    ) {
        let [identity, certificate, role_arn] = texts;
        let [access_key_id, secret, token] = secrets;
        let entry = Entry {
            identity,
            certificate,
            credentials: Credentials {
                access_key_id,
                secret_access_key: Zeroizing::new(secret),
                session_token: Zeroizing::new(token),
                expiration: UnixTime::from_secs(expiration),
                role_arn,
            },
            asked: Moment {
                since_boot: Duration::from_millis(since),
                ..at(0)
            },
            life: Duration::from_millis(life),
        };
        let key = wanted().key;
        let text = entry.text(&key).unwrap();
        let read = Entry::parse(text.as_bytes(), &key).unwrap();
        prop_assert_eq!(read.text(&key).unwrap(), text);
        prop_assert_eq!(read.asked, entry.asked);
        prop_assert_eq!(read.life, entry.life);
        prop_assert_eq!(&read.credentials.session_token, &entry.credentials.session_token);
        prop_assert_eq!(&read.credentials.secret_access_key, &entry.credentials.secret_access_key);
    }

    #[test]
    fn every_damage_shows(place in any::<proptest::sample::Index>(), bit in 0..8u8) {
        let key = wanted().key;
        let mut text = entry().text(&key).unwrap().as_bytes().to_owned();
        let place = place.index(text.len());
        text[place] ^= 1 << bit;
        prop_assert!(Entry::parse(&text, &key).is_err());
        prop_assert!(Entry::parse(&text[..place], &key).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        prop_assert!(Entry::parse(&bytes, &wanted().key).is_err());
    }

    #[test]
    fn no_clocks_lengthen_a_life(boot_secs in 0..10_000u64, wall_secs in -10_000..10_000i64) {
        let now = Moment {
            since_boot: Duration::from_secs(boot_secs),
            wall: wall(wall_secs),
            ..at(0)
        };
        let left = entry().left(&now).as_secs() as i64;
        prop_assert!(left <= (3600 - wall_secs).max(0));
        prop_assert!(left <= (4600 - boot_secs as i64).max(0));
    }
}
