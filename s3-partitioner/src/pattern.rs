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
        Ok(Self { pieces, language })
    }

    /// Appends an instant (milliseconds since 1970-01-01 UTC) as it reads in `zone`.
    pub(crate) fn print(&self, utc_ms: i64, zone: &Zone, out: &mut String) {
        let offset_ms = zone.offset_ms(utc_ms);
        let civil = Civil::from_local_ms(utc_ms.saturating_add(offset_ms));
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
    const fn of(self, civil: &Civil) -> i64 {
        let hour = civil.milli_of_day / 3_600_000;
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
            Self::Hour => hour,
            Self::HalfDayHour => hour % 12,
            Self::HalfDayClockHour => (hour + 11) % 12 + 1,
            Self::ClockHour => (hour + 23) % 24 + 1,
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
    let mut digits = [0_u8; 20];
    let mut rest = value.unsigned_abs();
    let mut length = 0_usize;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    for _ in length..width {
        out.push('0');
    }
    digits.iter().skip(digits.len() - length).for_each(|&digit| out.push(char::from(digit)));
    Ok(())
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
