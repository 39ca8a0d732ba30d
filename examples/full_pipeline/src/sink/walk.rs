//! What bounds every walk over schemas and datums of others.

use avro_wire::primitive::Reader;

/// Records in records that are followed; what is deeper is an error, not a stack overflow.
pub(super) const DEPTH: usize = 64;
/// Items without bytes, such as nulls, that one block may hold.
pub(super) const EMPTY_ITEMS: usize = 1 << 16;

/// How many items the next block of an array or a map has, zero at the end; `None` for more than
/// can be there: one for each byte that is left, and `empty` without any.
pub(super) fn block(
    reader: &mut Reader<'_>,
    empty: usize,
) -> Result<Option<usize>, avro_wire::Error> {
    let mut count = reader.read_long()?;
    if count < 0 {
        // The block's size in bytes comes between.
        reader.read_long()?;
        count = count.checked_neg().unwrap_or(count);
    }
    let most = reader.rest().len().saturating_add(empty);
    Ok(usize::try_from(count).ok().filter(|count| *count <= most))
}
