use std::fmt::Write;

/// Collects rows into `INSERT` statements of at most [`ROWS`] rows each.
#[derive(Debug)]
pub(super) struct Inserts {
    head: String,
    statements: Vec<String>,
    rows: usize,
}

impl Inserts {
    /// `table` with its columns: `ods.region (region_id, region_description)`.
    pub(super) fn into(table: &str) -> Self {
        Self { head: format!("INSERT INTO {table} VALUES\n"), statements: Vec::new(), rows: 0 }
    }

    /// Adds one row of values that are already SQL.
    pub(super) fn row(&mut self, values: &[&dyn Sql]) {
        let full = self.rows.is_multiple_of(ROWS);
        if full {
            if let Some(done) = self.statements.last_mut() {
                done.push(';');
            }
            self.statements.push(self.head.clone());
        }
        let Some(statement) = self.statements.last_mut() else { return };
        statement.push_str(if full { "(" } else { ",\n(" });
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                statement.push_str(", ");
            }
            value.write(statement);
        }
        statement.push(')');
        self.rows += 1;
    }

    pub(super) fn finish(mut self) -> Vec<String> {
        if let Some(done) = self.statements.last_mut() {
            done.push(';');
        }
        self.statements
    }
}

/// A value as an SQL literal.
pub(super) trait Sql {
    fn write(&self, out: &mut String);
}

impl Sql for u32 {
    fn write(&self, out: &mut String) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "{self}");
    }
}

impl Sql for &str {
    fn write(&self, out: &mut String) {
        out.push('\'');
        for character in self.chars() {
            if character == '\'' {
                out.push('\'');
            }
            out.push(character);
        }
        out.push('\'');
    }
}

impl Sql for String {
    fn write(&self, out: &mut String) {
        self.as_str().write(out);
    }
}

impl<T: Sql> Sql for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("NULL"),
        }
    }
}

/// Hundredths, as all prices, freights and discounts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cents(pub(super) u32);

impl Sql for Cents {
    fn write(&self, out: &mut String) {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        let _ = match part {
            0 => write!(out, "{whole}"),
            part if part % 10 == 0 => write!(out, "{whole}.{}", part / 10),
            part => write!(out, "{whole}.{part:02}"),
        };
    }
}

/// Days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(pub(super) u32);

impl Sql for Date {
    fn write(&self, out: &mut String) {
        // Years begin in March, so that the leap day is the last of one; and 719,468 days lie
        // between 0000-03-01 and 1970-01-01.
        let days = self.0 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u32::from(month <= 2);
        let _ = write!(out, "'{year:04}-{month:02}-{day:02}'");
    }
}

/// No bytes: the pictures are empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoBytes;

impl Sql for NoBytes {
    fn write(&self, out: &mut String) {
        out.push_str("''");
    }
}

const ROWS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &dyn Sql) -> String {
        let mut out = String::new();
        value.write(&mut out);
        out
    }

    #[test]
    fn literals() {
        assert_eq!(text(&"it's"), "'it''s'");
        assert_eq!(text(&None::<u32>), "NULL");
        assert_eq!(
            [0, 5, 50, 1050, 2635].map(|n| text(&Cents(n))),
            ["0", "0.05", "0.5", "10.5", "26.35"]
        );
    }

    #[test]
    fn dates_over_leap_days_and_centuries() {
        for (days, expected) in [
            (0, "'1970-01-01'"),
            (9_555, "'1996-02-29'"),
            (9_681, "'1996-07-04'"),
            (10_352, "'1998-05-06'"),
            (11_016, "'2000-02-29'"),
            (47_540, "'2100-02-28'"),
            (47_541, "'2100-03-01'"),
        ] {
            assert_eq!(text(&Date(days)), expected);
        }
    }

    #[test]
    fn statements_end_at_the_limit() {
        let mut inserts = Inserts::into("t (n)");
        for n in 0_u32..501 {
            inserts.row(&[&n]);
        }
        let statements = inserts.finish();
        assert_eq!(statements.len(), 2);
        assert!(statements[0].ends_with("(499);"));
        assert_eq!(statements[1], "INSERT INTO t (n) VALUES\n(500);");
    }
}
