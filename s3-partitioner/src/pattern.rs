use std::fmt::Write as _;

use crate::calendar::Civil;
use crate::names::{Language, ZoneNames};
use crate::zone::Zone;
use crate::{Error, ErrorKind};

/// A date pattern with Joda-Time's letters, compiled once.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
    language: Language,
    /// For patterns of numbers that nearly always have the same length.
    template: Option<Template>,
}

/// A path with the digits yet to be filled in.
#[derive(Clone, Debug)]
struct Template {
    text: Vec<u8>,
    holes: Vec<Hole>,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    at: usize,
    number: Number,
    width: Width,
}

#[derive(Clone, Copy, Debug)]
enum Width {
    Two,
    Four,
}

#[derive(Clone, Debug)]
enum Piece {
    Literal(String),
    Number(Number, usize),
    TwoDigitYear(Number),
    Fraction(usize),
    Era,
    HalfDay,
    Month(Form),
    Weekday(Form),
    ZoneName(ZoneNames, Form),
    Offset { colon: bool },
    ZoneId,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Short,
    Full,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Year,
    YearOfEra,
    WeekYear,
    Century,
    Month,
    Day,
    DayOfYear,
    Week,
    DayOfWeek,
    Hour,
    HalfDayHour,
    HalfDayClockHour,
    ClockHour,
    Minute,
    Second,
}

impl Pattern {
    pub(crate) fn compile(text: &str, zone: &Zone, locale: &str) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut needs_names = false;
        let mut chars = text.char_indices().peekable();
        while let Some((offset, c)) = chars.next() {
            if c == '\'' {
                quoted(&mut chars, &mut literal);
                continue;
            }
            if !c.is_ascii_alphabetic() {
                literal.push(c);
                continue;
            }
            let mut count = 1;
            while chars.next_if(|&(_, next)| next == c).is_some() {
                count += 1;
            }
            let piece = piece(c, count, zone)?
                .ok_or_else(|| Error::new(ErrorKind::PathFormat { offset }))?;
            needs_names |=
                matches!(piece, Piece::Era | Piece::HalfDay | Piece::Month(_) | Piece::Weekday(_));
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        let language = match Language::of(locale) {
            Some(language) => language,
            None if needs_names => {
                return Err(Error::new(ErrorKind::Language(locale.to_owned())));
            }
            None => Language::English,
        };
        let template = Template::of(&pieces);
        Ok(Self { pieces, language, template })
    }

    /// Appends an instant (milliseconds since 1970-01-01 UTC) as it reads in `zone`, which has that
    /// offset at that instant.
    pub(crate) fn print(&self, utc_ms: i64, offset_ms: i64, zone: &Zone, out: &mut String) {
        let civil = Civil::from_local_ms(utc_ms.saturating_add(offset_ms));
        if let Some(template) = &self.template
            && template.print(&civil, out)
        {
            return;
        }
        for piece in &self.pieces {
            // Writing to a String cannot fail.
            let _ = match piece {
                Piece::Literal(text) => out.write_str(text),
                Piece::Number(number, width) => pad(out, number.of(&civil), *width),
                Piece::TwoDigitYear(number) => pad(out, number.of(&civil).abs() % 100, 2),
                Piece::Fraction(digits) => fraction(out, civil.milli_of_day % 1_000, *digits),
                Piece::Era => out.write_str(self.language.era(civil.year >= 1)),
                Piece::HalfDay => out.write_str(self.language.half_day(civil.milli_of_day)),
                Piece::Month(form) => {
                    let full = matches!(form, Form::Full);
                    out.write_str(self.language.month(civil.month, full))
                }
                Piece::Weekday(form) => {
                    let full = matches!(form, Form::Full);
                    out.write_str(self.language.weekday(civil.day_of_week(), full))
                }
                Piece::ZoneName(names, form) => {
                    let full = matches!(form, Form::Full);
                    match names.name(zone.is_dst(utc_ms), full) {
                        Some(name) => out.write_str(name),
                        None => out.write_str(zone.id()),
                    }
                }
                Piece::Offset { colon } => offset(out, offset_ms, *colon),
                Piece::ZoneId => out.write_str(zone.id()),
            };
        }
    }
}

impl Template {
    const MOST: usize = 96;

    fn of(pieces: &[Piece]) -> Option<Self> {
        let (mut text, mut holes) = (Vec::new(), Vec::new());
        for piece in pieces {
            match *piece {
                Piece::Literal(ref literal) => text.extend_from_slice(literal.as_bytes()),
                Piece::Number(number, 2) => {
                    holes.push(Hole { at: text.len(), number, width: Width::Two });
                    text.extend_from_slice(b"00");
                }
                Piece::Number(number, 4) => {
                    holes.push(Hole { at: text.len(), number, width: Width::Four });
                    text.extend_from_slice(b"0000");
                }
                _ => return None,
            }
        }
        (text.len() <= Self::MOST).then_some(Self { text, holes })
    }

    /// Gives up, with nothing printed, if a number does not fit.
    fn print(&self, civil: &Civil, out: &mut String) -> bool {
        let mut buffer = [0; Self::MOST];
        let Some(text) = buffer.get_mut(..self.text.len()) else { return false };
        text.copy_from_slice(&self.text);
        for hole in &self.holes {
            let Ok(number) = usize::try_from(hole.number.of(civil)) else { return false };
            let Some(digits) = text.get_mut(hole.at..) else { return false };
            match (hole.width, digits) {
                (Width::Two, [a, b, ..]) => {
                    let Some(&pair) = PAIRS.get(number) else { return false };
                    [*a, *b] = pair;
                }
                (Width::Four, [a, b, c, d, ..]) => {
                    let Some(&high) = PAIRS.get(number / 100) else { return false };
                    let Some(&low) = PAIRS.get(number % 100) else { return false };
                    ([*a, *b], [*c, *d]) = (high, low);
                }
                _ => return false,
            }
        }
        match std::str::from_utf8(text) {
            Ok(text) => {
                out.push_str(text);
                true
            }
            Err(_) => false,
        }
    }
}

/// The two digits of each number below 100.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number: u8 = 0;
    while number < 100 {
        #[allow(clippy::indexing_slicing, reason = "a constant, so it is checked once")]
        {
            pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        }
        number += 1;
    }
    pairs
};

/// Copies quoted text. Two quotes in a row are one, inside and outside; an open end is accepted.
fn quoted(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>, literal: &mut String) {
    if chars.next_if(|&(_, next)| next == '\'').is_some() {
        literal.push('\'');
        return;
    }
    while let Some((_, c)) = chars.next() {
        if c != '\'' {
            literal.push(c);
        } else if chars.next_if(|&(_, next)| next == '\'').is_some() {
            literal.push('\'');
        } else {
            return;
        }
    }
}

/// What a run of one letter prints, or `None` for a letter that Joda does not know.
fn piece(letter: char, count: usize, zone: &Zone) -> Result<Option<Piece>, Error> {
    let form = if count >= 4 { Form::Full } else { Form::Short };
    let number = |number| Piece::Number(number, count);
    let year = |year| match count {
        2 => Piece::TwoDigitYear(year),
        _ => Piece::Number(year, count),
    };
    Ok(Some(match letter {
        'y' => year(Number::Year),
        'Y' => year(Number::YearOfEra),
        'x' => year(Number::WeekYear),
        'C' => number(Number::Century),
        'M' if count >= 3 => Piece::Month(form),
        'M' => number(Number::Month),
        'd' => number(Number::Day),
        'D' => number(Number::DayOfYear),
        'w' => number(Number::Week),
        'e' => number(Number::DayOfWeek),
        'H' => number(Number::Hour),
        'K' => number(Number::HalfDayHour),
        'h' => number(Number::HalfDayClockHour),
        'k' => number(Number::ClockHour),
        'm' => number(Number::Minute),
        's' => number(Number::Second),
        'S' => Piece::Fraction(count),
        'E' => Piece::Weekday(form),
        'a' => Piece::HalfDay,
        'G' => Piece::Era,
        'z' => match ZoneNames::of(zone) {
            Some(names) => Piece::ZoneName(names, form),
            None => return Err(Error::new(ErrorKind::ZoneName(zone.id().to_owned()))),
        },
        'Z' => match count {
            1 => Piece::Offset { colon: false },
            2 => Piece::Offset { colon: true },
            _ => Piece::ZoneId,
        },
        _ => return Ok(None),
    }))
}

impl Number {
    #[inline]
    const fn of(self, civil: &Civil) -> i64 {
        const HOUR_MS: i64 = 3_600_000;
        let year_of_era = if civil.year >= 1 { civil.year } else { 1 - civil.year };
        match self {
            Self::Year => civil.year,
            Self::YearOfEra => year_of_era,
            Self::WeekYear => civil.week().0,
            Self::Century => year_of_era / 100,
            Self::Month => civil.month,
            Self::Day => civil.day,
            Self::DayOfYear => civil.day_of_year(),
            Self::Week => civil.week().1,
            Self::DayOfWeek => civil.day_of_week(),
            Self::Hour => civil.milli_of_day / HOUR_MS,
            Self::HalfDayHour => civil.milli_of_day / HOUR_MS % 12,
            Self::HalfDayClockHour => (civil.milli_of_day / HOUR_MS + 11) % 12 + 1,
            Self::ClockHour => (civil.milli_of_day / HOUR_MS + 23) % 24 + 1,
            Self::Minute => civil.milli_of_day / 60_000 % 60,
            Self::Second => civil.milli_of_day / 1_000 % 60,
        }
    }
}

/// At least `width` digits; a minus sign comes on top of them.
fn pad(out: &mut String, value: i64, width: usize) -> std::fmt::Result {
    if value < 0 {
        out.push('-');
    }
    let number = value.unsigned_abs();
    let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1);
    for _ in digits..width {
        out.push('0');
    }
    write!(out, "{number}")
}

/// The first digits of the fraction of a second, cut and not rounded.
fn fraction(out: &mut String, milli: i64, digits: usize) -> std::fmt::Result {
    let text = [milli / 100, milli / 10 % 10, milli % 10];
    for index in 0..digits {
        pad(out, text.get(index).copied().unwrap_or(0), 1)?;
    }
    Ok(())
}

/// Hours and minutes; seconds of historic local mean times are not printed.
fn offset(out: &mut String, offset_ms: i64, colon: bool) -> std::fmt::Result {
    let minutes = offset_ms.abs() / 60_000;
    let sign = if offset_ms < 0 { '-' } else { '+' };
    let separator = if colon { ":" } else { "" };
    write!(out, "{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
}
