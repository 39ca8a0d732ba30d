//! Names that Avro and Kafka accept.

/// How names that Avro does not allow are changed (`schema.name.adjustment.mode` and
/// `field.name.adjustment.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameAdjustment {
    /// Names stay as they are; an Avro library may refuse them.
    #[default]
    None,
    /// Every character Avro does not allow becomes `_`, and a leading digit gets a `_` in front.
    Avro,
    /// Every character Avro does not allow becomes `_u` and four hexadecimal digits, as does `_`
    /// itself, so that different names stay different.
    AvroUnicode,
}

/// Whether a dot separates parts of the name or is a character like any other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dots {
    Separate,
    Adjust,
}

impl NameAdjustment {
    pub(crate) fn adjust(self, name: &str, dots: Dots) -> String {
        if self == Self::None {
            return name.to_owned();
        }
        let mut out = String::with_capacity(name.len());
        for (index, c) in name.chars().enumerate() {
            let letter = c.is_ascii_alphabetic() || (c == '.' && dots == Dots::Separate);
            match self {
                Self::AvroUnicode => {
                    if letter || (c.is_ascii_digit() && index > 0) {
                        out.push(c);
                    } else {
                        // Java works on UTF-16 units, so a character outside the BMP gives two.
                        let mut units = [0; 2];
                        for unit in c.encode_utf16(&mut units) {
                            out.push_str(&format!("_u{unit:04x}"));
                        }
                    }
                }
                _ => {
                    if c.is_ascii_digit() {
                        if index == 0 {
                            out.push('_');
                        }
                        out.push(c);
                    } else if letter || c == '_' {
                        out.push(c);
                    } else {
                        (0..c.len_utf16()).for_each(|_| out.push('_'));
                    }
                }
            }
        }
        out
    }
}

/// Kafka allows `[A-Za-z0-9._-]` in topic names; anything else becomes `_`.
pub(crate) fn topic_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            out.push(c);
        } else {
            (0..c.len_utf16()).for_each(|_| out.push('_'));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Dots, NameAdjustment, topic_name};

    #[test]
    fn field_names_as_debezium_adjusts_them() {
        let names = ["col-dash", "col space", "1digit", "ünï", "a.b", "$money", "x_y", "__u"];
        let avro = ["col_dash", "col_space", "_1digit", "_n_", "a_b", "_money", "x_y", "__u"];
        let unicode = [
            "col_u002ddash",
            "col_u0020space",
            "_u0031digit",
            "_u00fcn_u00ef",
            "a_u002eb",
            "_u0024money",
            "x_u005fy",
            "_u005f_u005fu",
        ];
        for ((name, avro), unicode) in names.into_iter().zip(avro).zip(unicode) {
            assert_eq!(NameAdjustment::None.adjust(name, Dots::Adjust), name);
            assert_eq!(NameAdjustment::Avro.adjust(name, Dots::Adjust), avro);
            assert_eq!(NameAdjustment::AvroUnicode.adjust(name, Dots::Adjust), unicode);
        }
    }

    #[test]
    fn schema_names_keep_their_dots() {
        let topic = topic_name("dbz-x.1.my-Schema.Odd-Table.Näme");
        assert_eq!(topic, "dbz-x.1.my-Schema.Odd-Table.N_me");
        assert_eq!(
            NameAdjustment::Avro.adjust(&topic, Dots::Separate),
            "dbz_x.1.my_Schema.Odd_Table.N_me"
        );
        assert_eq!(
            NameAdjustment::AvroUnicode.adjust(&topic, Dots::Separate),
            "dbz_u002dx.1.my_u002dSchema.Odd_u002dTable.N_u005fme"
        );
    }
}
