//! Dates and times from text.

use super::date::days_from_civil;
use crate::{Error, ErrorKind};

/// What is left of a text.
pub(super) struct Text<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Text<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, rest: text }
    }

    pub(super) fn finish(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid()) }
    }

    pub(super) fn invalid(&self) -> Error {
        Error::at(ErrorKind::InvalidText, self.text.len() - self.rest.len())
    }

    /// Whether the next character is `expected`, which is taken then.
    pub(super) fn take(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, expected: char) -> Result<(), Error> {
        if self.take(expected) { Ok(()) } else { Err(self.invalid()) }
    }

    /// A number of at least `least` and at most `most` digits, and how many there were.
    fn digits(&mut self, least: usize, most: usize) -> Result<(u32, usize), Error> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let Some((digits, rest)) = self.rest.split_at_checked(count).filter(|_| count >= least)
        else {
            return Err(self.invalid());
        };
        let value = digits.bytes().fold(0, |sum, digit| sum * 10 + u32::from(digit & 0x0f));
        self.rest = rest;
        Ok((value, count))
    }

    /// Two digits.
    pub(super) fn pair(&mut self) -> Result<u8, Error> {
        let (value, _) = self.digits(2, 2)?;
        u8::try_from(value).map_err(|_| self.invalid())
    }

    /// `2024-02-29`, as days since 1970-01-01.
    pub(super) fn date(&mut self) -> Result<i64, Error> {
        let negative = self.take('-');
        // Nine digits are enough for timestamps of milliseconds, and fit 32 bits.
        let most = if negative || self.take('+') { 9 } else { 4 };
        let year = i64::from(self.digits(4, most)?.0);
        self.expect('-')?;
        let month = self.pair()?;
        self.expect('-')?;
        let start = self.rest;
        let day = self.pair()?;
        let year = if negative { -year } else { year };
        days_from_civil(year, month, day).ok_or_else(|| {
            self.rest = start;
            self.invalid()
        })
    }

    /// `09:30:00.5`, as nanoseconds after midnight. 24:00:00 is the end of the day.
    pub(super) fn time(&mut self) -> Result<u64, Error> {
        let start = self.rest;
        let hour = u64::from(self.pair()?);
        self.expect(':')?;
        let minute = u64::from(self.pair()?);
        self.expect(':')?;
        let second = u64::from(self.pair()?);
        let mut nanos = 0;
        if self.take('.') {
            let (value, count) = self.digits(1, 9)?;
            nanos = (count..9).fold(u64::from(value), |value, _| value * 10);
        }
        let total = ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + nanos;
        if minute > 59 || second > 59 || total > super::time::DAY_NANOS {
            self.rest = start;
            return Err(self.invalid());
        }
        Ok(total)
    }

    /// `Z`, `+01:00` or `-05:30`, in seconds.
    pub(super) fn offset(&mut self) -> Result<i64, Error> {
        if self.take('Z') {
            return Ok(0);
        }
        let negative = self.take('-');
        if !negative {
            self.expect('+')?;
        }
        let start = self.rest;
        let hours = i64::from(self.pair()?);
        self.expect(':')?;
        let minutes = i64::from(self.pair()?);
        if hours > 23 || minutes > 59 {
            self.rest = start;
            return Err(self.invalid());
        }
        let seconds = (hours * 60 + minutes) * 60;
        Ok(if negative { -seconds } else { seconds })
    }
}
