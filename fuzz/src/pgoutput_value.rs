//! The target of `pgoutput`'s feature `postgres-types`.

use pgoutput::{
    Column, Oid,
    value::{Definition, Types, Value},
};

/// The types of [`value`], of which its first byte picks one: each kind of reader, alone and in
/// arrays, ranges and multiranges, then types of a database's own.
const TYPES: [u32; 98] = [
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 30, 114, 600, 601, 602, 603, 604, 628, 650,
    700, 701, 718, 774, 790, 829, 869, 1042, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1700, 2249,
    2950, 2970, 3220, 3614, 3615, 3802, 4072, 5069, 3904, 3906, 3908, 3910, 3912, 3926, 4451, 4532,
    4533, 4534, 4535, 4536, 1000, 1001, 1002, 1003, 1006, 1007, 1009, 1010, 1017, 1019, 1020, 1021,
    1027, 1041, 1115, 1182, 1185, 1187, 1231, 1270, 1561, 2287, 2951, 3643, 3645, 3807, 3905, 3907,
    3909, 6150, 6151, 6152, 4192, 20_000, 20_001, 20_002, 20_003, 20_004, 20_005, 20_006,
];

/// A column of some type: a byte that picks the type, a byte whose lowest bit says binary, and the
/// value.
pub fn value(data: &[u8]) {
    let [id, form, bytes @ ..] = data else { return };
    let Some(id) = TYPES.get(usize::from(*id) % TYPES.len()) else { return };
    let own = Oid::new;
    let types = Types::new()
        .with(own(20_000), Definition::Composite(vec![own(23), own(25), own(1231), own(20_001)]))
        .with(own(20_001), Definition::Hstore)
        .with(own(20_002), Definition::Array(own(20_000)))
        .with(own(20_003), Definition::Domain(own(20_002)))
        .with(own(20_004), Definition::Composite(vec![own(20_004), own(20_006)]))
        .with(own(20_005), Definition::Range(own(20_000)))
        .with(own(20_006), Definition::Multirange(own(1043)));
    let column = if form & 1 == 0 { Column::Text(bytes) } else { Column::Binary(bytes) };
    match types.decode(Oid::new(*id), column) {
        Ok(value) => {
            if let Value::Numeric(number) = &value {
                // Whatever can be held as an integer is the number that is printed.
                let mut printed = number.to_string();
                if let Some(digits) = number.unscaled() {
                    assert_eq!(number.scale() > 0, printed.contains('.'), "{printed}");
                    printed.retain(|char| char != '.');
                    assert_eq!(printed.parse(), Ok(digits));
                }
            }
            // Not by equality, which NaN does not have.
            let borrowed = format!("{value:?}");
            assert_eq!(borrowed, format!("{:?}", value.into_owned()));
        }
        Err(error) => assert!(error.offset() <= bytes.len(), "{error:?} of {} bytes", bytes.len()),
    }
}
