/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers from the same seed on every machine,
/// which a generator of a library does not promise from one version to the next.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// A stream of its own for each pair, so that a part of the data can be made without the rest.
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = Self(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let state = mixed.next();
        Self(state)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, 0 if that is 0. The bias is under one in a million for the small
    /// bounds used here.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the product of two numbers under 2^32, shifted by 32, is under 2^32"
    )]
    pub(super) const fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * bound as u64) >> 32) as u32
    }

    /// A number from `low` to `high`, both possible.
    pub(super) const fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// One of the texts; empty if there are none.
    pub(super) fn pick(&mut self, texts: &[&'static str]) -> &'static str {
        let bound = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        texts.get(self.below(bound) as usize).copied().unwrap_or_default()
    }

    /// Puts the items in any order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        let mut left = u32::try_from(items.len()).unwrap_or(u32::MAX);
        while left > 1 {
            let other = self.below(left);
            left -= 1;
            items.swap(left as usize, other as usize);
        }
    }

    /// Fills in a pattern: `9` becomes a digit, `A` a letter, everything else stays.
    pub(super) fn fill(&mut self, pattern: &str) -> String {
        pattern
            .chars()
            .map(|place| match place {
                '9' => char::from_digit(self.below(10), 10).unwrap_or(place),
                'A' => char::from_digit(10 + self.below(26), 36)
                    .map_or(place, |letter| letter.to_ascii_uppercase()),
                _ => place,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_are_those_of_the_published_algorithm() {
        // From the reference implementation in C with the state 1234567.
        let mut random = Random(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut random = Random::new(1, 1);
        let mut seen = [false; 4];
        for _ in 0..200 {
            seen[random.between(3, 6) as usize - 3] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(random.below(0), 0);
        assert_eq!(random.pick(&[]), "");
    }

    #[test]
    fn patterns_keep_their_shape() {
        let text = Random::new(7, 0).fill("99 A-9");
        let shape: String = text
            .chars()
            .map(|c| {
                if c.is_ascii_digit() {
                    '9'
                } else if c.is_ascii_uppercase() {
                    'A'
                } else {
                    c
                }
            })
            .collect();
        assert_eq!(shape, "99 A-9");
    }
}
