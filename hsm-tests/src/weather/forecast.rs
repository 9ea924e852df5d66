//! Which weather comes when: decided by a seed.

use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sky {
    /// Nothing.
    Clear,
    /// Nobody listens, and what is open breaks.
    Refused,
    /// Nothing arrives any more, and nobody says so.
    Silent,
    /// Each is reset after so many bytes to the server.
    Reset(u32),
    /// Each ends after so many bytes of answers: what was asked for has been done.
    Truncated(u32),
    /// So many bytes pass in a second, of our time, for each.
    Slow(u32),
    /// Whatever passes comes so many milliseconds of our time later.
    Late(u32),
    /// A server in between says 503 `SlowDown`.
    Throttled,
}

/// A sky, and how long it stays.
#[derive(Debug, Clone, Copy)]
pub struct Spell {
    pub sky: Sky,
    pub lasts: Duration,
}

/// Spells, one after the other; then it is clear for good.
#[derive(Debug, Clone)]
pub struct Forecast(Vec<Spell>);

impl Forecast {
    /// So many days of a hub on a bad link: a few hours of connection in a day, all kinds of trouble within them.
    pub fn rough(days: u32, mut seed: u64) -> Self {
        let end = HOUR * 24 * days;
        let mut spells = Vec::new();
        let mut passed = Duration::ZERO;
        // Each kind comes in turn from a place that the seed decides, so that none is left out.
        let mut turn = random(&mut seed);
        while passed < end {
            turn += 1;
            let trouble = match turn % 9 {
                0 | 1 => Sky::Refused,
                2 => Sky::Silent,
                3 | 4 => Sky::Reset(size(&mut seed)),
                5 => Sky::Truncated(size(&mut seed) % 600),
                6 => Sky::Slow(200_000 + size(&mut seed)),
                7 => Sky::Late(1 + size(&mut seed) % 30),
                _ => Sky::Throttled,
            };
            for (sky, most) in [(trouble, HOUR * 5), (Sky::Clear, HOUR * 2)] {
                let lasts = most
                    .mul_f64(0.1 + 0.9 * fraction(&mut seed))
                    .min(end - passed);
                spells.push(Spell { sky, lasts });
                passed += lasts;
            }
        }
        Self(spells)
    }

    /// One spell, and clear skies after it.
    pub fn one(sky: Sky, lasts: Duration) -> Self {
        Self(vec![Spell { sky, lasts }])
    }

    /// The spell at a time, by its number; none after the last.
    pub fn at(&self, time: Duration) -> Option<(usize, Sky)> {
        let mut passed = Duration::ZERO;
        let mut spells = self.0.iter().enumerate();
        let (number, spell) = spells.find(|(_, spell)| {
            passed += spell.lasts;
            time < passed
        })?;
        Some((number, spell.sky))
    }

    /// How long they last together.
    pub fn lasts(&self) -> Duration {
        self.0.iter().map(|spell| spell.lasts).sum()
    }
}

/// From nothing to 4 MiB, small as often as large.
fn size(seed: &mut u64) -> u32 {
    let bits = random(seed) % 23;
    (random(seed) & ((1 << bits) - 1)) as u32
}

fn fraction(seed: &mut u64) -> f64 {
    (random(seed) >> 11) as f64 / (1_u64 << 53) as f64
}

/// SplitMix64.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_days_have_all_kinds_of_weather() {
        for seed in 0..20 {
            let forecast = Forecast::rough(10, seed);
            assert_eq!(forecast.lasts(), HOUR * 240);
            let kinds: std::collections::HashSet<_> = forecast
                .0
                .iter()
                .map(|spell| std::mem::discriminant(&spell.sky))
                .collect();
            assert_eq!(kinds.len(), 8, "{forecast:?}");
            assert_eq!(forecast.at(HOUR * 240), None);
            assert_eq!(forecast.at(Duration::ZERO), Some((0, forecast.0[0].sky)));
        }
    }
}
