//! The type of a column as the parameters of its schema tell it (`column.propagate.source.type`).

use crate::column::ColumnDef;
use crate::schema::ConnectSchema;

/// Length of types without one.
const UNLIMITED: i32 = i32::MAX;

impl ConnectSchema {
    /// The same schema with the parameters about the column it is of. They hold what JDBC's
    /// metadata call length and scale, for every type.
    pub(crate) fn with_source_type(self, column: &ColumnDef) -> Self {
        let parameter = |name: &str| format!("__debezium.source.column.{name}");
        let (length, scale) = size(column);
        let mut schema = self
            .with_parameter(&parameter("type"), &column.source_type_name().to_uppercase())
            .with_parameter(&parameter("length"), &length.to_string());
        if let Some(scale) = scale {
            schema = schema.with_parameter(&parameter("scale"), &scale.to_string());
        }
        schema.with_parameter(&parameter("name"), column.name())
    }
}

/// Length and scale of a column. Of an array they are those of its elements.
pub(crate) fn size(column: &ColumnDef) -> (i32, Option<i32>) {
    let (oid, _, typmod) = column.effective_type();
    let element = column.element.as_ref().map(|(oid, _)| *oid);
    let oid = element.or_else(|| crate::kind::element_of(oid)).unwrap_or(oid);
    let whole = |length| (length, Some(0));
    let fraction = |base: i32| {
        let digits = if (0..=6).contains(&typmod) { typmod } else { 6 };
        let width = match digits {
            0 => 0,
            // One digit is printed with two.
            1 => 3,
            digits => digits + 1,
        };
        (base + width, Some(digits))
    };
    match oid {
        16 | 18 => whole(1),
        20 => whole(19),
        21 => whole(5),
        23 | 26 => whole(10),
        700 => (8, Some(8)),
        701 => (17, Some(17)),
        1042 | 1043 => whole(if typmod >= 4 { typmod - 4 } else { UNLIMITED }),
        1082 => whole(13),
        1083 => fraction(8),
        1266 => fraction(14),
        1114 => fraction(22),
        1184 => fraction(28),
        1186 => (49, Some(if typmod < 0 { 6 } else { typmod & 0xffff })),
        1560 => whole(typmod.max(1)),
        1562 => whole(if typmod < 0 { UNLIMITED } else { typmod }),
        1700 if typmod < 4 && oid == column.type_oid && column.snapshot_size => (0, None),
        // The most digits before the point and after it that the driver knows of.
        1700 if typmod < 4 => whole(131_089),
        1700 => ((typmod - 4) >> 16, Some((typmod - 4) & 0x7ff)),
        _ => whole(UNLIMITED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_numerics_have_another_size_in_a_snapshot() {
        let bare = ColumnDef::new("n", 1700, "numeric");
        let sized = bare.clone().with_typmod(((10 << 16) | 2) + 4);
        let array = ColumnDef::new("a", 1231, "_numeric");
        for (column, stream, snapshot) in [
            (bare, (131_089, Some(0)), (0, None)),
            (sized, (10, Some(2)), (10, Some(2))),
            (array, (131_089, Some(0)), (131_089, Some(0))),
        ] {
            assert_eq!(size(&column), stream);
            assert_eq!(size(&column.with_snapshot_size()), snapshot);
        }
    }
}
