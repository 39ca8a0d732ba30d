//! The order in which Java's hash maps give their entries: by bucket, which is the lower bits of the
//! hash, and within one as they came.

/// Buckets of a Java hash map with that many entries.
pub(crate) fn buckets(entries: usize) -> u32 {
    let mut buckets = 16_u32;
    while u32::try_from(entries).is_ok_and(|entries| entries > buckets / 4 * 3) && buckets < 1 << 30
    {
        buckets *= 2;
    }
    buckets
}

/// Buckets of a Java hash map that was copied from a map with one entry less, before that one was
/// put in: a copy has only the room it needs.
pub(crate) fn buckets_of_copy(entries: usize) -> u32 {
    let Some(copied) = u32::try_from(entries).ok().and_then(|entries| entries.checked_sub(1))
    else {
        return 16;
    };
    if copied == 0 {
        return 16;
    }
    let room = (copied / 3 * 4 + copied % 3 * 4 / 3 + 1).next_power_of_two();
    if copied + 1 > room / 4 * 3 + room % 4 * 3 / 4 { room * 2 } else { room }
}

/// The bucket of a text among so many.
pub(crate) fn bucket(text: &str, buckets: u32) -> u32 {
    hash(text) & (buckets - 1)
}

/// Java's hash of the UTF-16 units of a text, folded as its hash maps do.
pub(crate) fn hash(text: &str) -> u32 {
    let hash = text
        .encode_utf16()
        .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::{bucket, buckets, buckets_of_copy};

    #[test]
    fn order_of_a_java_hash_map() {
        assert_eq!((buckets(0), buckets(12), buckets(13)), (16, 16, 32));
        let names = ["public.tr2", "public.tr", "ods.customers", "ods.cdc_events"];
        assert_eq!(names.map(|name| bucket(name, 16)), [12, 14, 4, 10]);
        // One more than 0, 1, 2, … entries.
        let copies = [1, 2, 3, 4, 5, 6, 7, 12, 13].map(buckets_of_copy);
        assert_eq!(copies, [16, 4, 4, 8, 8, 8, 16, 16, 32]);
    }
}
