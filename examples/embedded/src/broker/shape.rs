//! A look at a request before it is decoded.
//!
//! The codec makes room for an array as soon as it has read the number of its elements, so
//! a request of twenty bytes could ask for gigabytes. Here the arrays of a request are walked over
//! first: each element has to be there, and there may not be too many of them.

use bytes::Buf;
use kafka_protocol::messages::ApiKey;

/// The request does not hold what its arrays announce, or holds too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misshapen;

/// Checks the body of a request, that is, what follows its header.
pub(super) fn check(key: ApiKey, version: i16, mut body: &[u8]) -> Result<(), Misshapen> {
    let Some((flexible_from, fields)) = shape(key) else { return Ok(()) };
    let mut walk = Walk { version, flexible: version >= flexible_from, elements: MAX_ELEMENTS };
    // Nothing behind the last array is of interest, tagged fields included.
    walk.plain_fields(fields, &mut body)
}

#[derive(Debug)]
enum Form {
    /// Numbers and ids: this many bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// Bytes, null or not.
    Blob,
    /// An array, null or not.
    List(&'static [Field]),
}

/// First version, last version, form.
type Field = (i16, i16, Form);

struct Walk {
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walk {
    fn fields(&mut self, fields: &[Field], body: &mut &[u8]) -> Result<(), Misshapen> {
        self.plain_fields(fields, body)?;
        if self.flexible { skip_tagged(body) } else { Ok(()) }
    }

    fn plain_fields(&mut self, fields: &[Field], body: &mut &[u8]) -> Result<(), Misshapen> {
        for (first, last, form) in fields {
            if (*first..=*last).contains(&self.version) {
                self.form(form, body)?;
            }
        }
        Ok(())
    }

    fn form(&mut self, form: &Form, body: &mut &[u8]) -> Result<(), Misshapen> {
        match form {
            Form::Fixed(len) => skip(body, *len),
            Form::Text => {
                let len = if self.flexible { compact(body)? } else { short(body)? };
                skip(body, len.unwrap_or(0))
            }
            Form::Blob => {
                let len = if self.flexible { compact(body)? } else { long(body)? };
                skip(body, len.unwrap_or(0))
            }
            Form::List(fields) => {
                let len = if self.flexible { compact(body)? } else { long(body)? };
                let len = len.unwrap_or(0);
                self.elements = self.elements.checked_sub(len).ok_or(Misshapen)?;
                for _ in 0..len {
                    match fields {
                        // The elements of an array of plain values have no tagged fields.
                        [(_, _, plain @ (Form::Fixed(_) | Form::Text))] => {
                            self.form(plain, body)?
                        }
                        _ => self.fields(fields, body)?,
                    }
                }
                Ok(())
            }
        }
    }
}

fn skip(body: &mut &[u8], len: usize) -> Result<(), Misshapen> {
    *body = body.get(len..).ok_or(Misshapen)?;
    Ok(())
}

fn skip_tagged(body: &mut &[u8]) -> Result<(), Misshapen> {
    for _ in 0..varint(body)? {
        let _tag = varint(body)?;
        let len = usize::try_from(varint(body)?).map_err(|_| Misshapen)?;
        skip(body, len)?;
    }
    Ok(())
}

fn compact(body: &mut &[u8]) -> Result<Option<usize>, Misshapen> {
    let len = usize::try_from(varint(body)?).map_err(|_| Misshapen)?;
    Ok(len.checked_sub(1))
}

fn short(body: &mut &[u8]) -> Result<Option<usize>, Misshapen> {
    nullable(i32::from(body.try_get_i16().map_err(|_| Misshapen)?))
}

fn long(body: &mut &[u8]) -> Result<Option<usize>, Misshapen> {
    nullable(body.try_get_i32().map_err(|_| Misshapen)?)
}

fn nullable(len: i32) -> Result<Option<usize>, Misshapen> {
    if len == -1 { Ok(None) } else { usize::try_from(len).map(Some).map_err(|_| Misshapen) }
}

fn varint(body: &mut &[u8]) -> Result<u32, Misshapen> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let byte = body.try_get_u8().map_err(|_| Misshapen)?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Misshapen)
}

/// The first flexible version of a request that holds arrays, and its fields. Fields behind the
/// last array are left out.
fn shape(key: ApiKey) -> Option<(i16, &'static [Field])> {
    use Form::{Blob, Fixed, List, Text};
    const ALL: i16 = i16::MAX;
    const INDEXES: &[Field] = &[(0, ALL, Fixed(4))];
    const NAMES: &[Field] = &[(0, ALL, Text)];
    Some(match key {
        ApiKey::Produce => (
            9,
            &[
                (3, ALL, Text),
                (0, ALL, Fixed(2 + 4)),
                (
                    0,
                    ALL,
                    List(&[
                        (0, 12, Text),
                        (13, ALL, Fixed(16)),
                        (0, ALL, List(&[(0, ALL, Fixed(4)), (0, ALL, Blob)])),
                    ]),
                ),
            ],
        ),
        ApiKey::Fetch => (
            12,
            &[
                (0, 14, Fixed(4)),
                (0, ALL, Fixed(4 + 4)),
                (3, ALL, Fixed(4)),
                (4, ALL, Fixed(1)),
                (7, ALL, Fixed(4 + 4)),
                (
                    0,
                    ALL,
                    List(&[
                        (0, 12, Text),
                        (13, ALL, Fixed(16)),
                        (
                            0,
                            ALL,
                            List(&[
                                (0, ALL, Fixed(4)),
                                (9, ALL, Fixed(4)),
                                (0, ALL, Fixed(8)),
                                (12, ALL, Fixed(4)),
                                (5, ALL, Fixed(8)),
                                (0, ALL, Fixed(4)),
                            ]),
                        ),
                    ]),
                ),
                (7, ALL, List(&[(0, 12, Text), (13, ALL, Fixed(16)), (0, ALL, List(INDEXES))])),
            ],
        ),
        ApiKey::ListOffsets => (
            6,
            &[
                (0, ALL, Fixed(4)),
                (2, ALL, Fixed(1)),
                (
                    0,
                    ALL,
                    List(&[
                        (0, ALL, Text),
                        (
                            0,
                            ALL,
                            List(&[(0, ALL, Fixed(4)), (4, ALL, Fixed(4)), (0, ALL, Fixed(8))]),
                        ),
                    ]),
                ),
            ],
        ),
        // A topic here is a struct also where it holds nothing but its name.
        ApiKey::Metadata => (9, &[(0, ALL, List(&[(10, ALL, Fixed(16)), (0, ALL, Text)]))]),
        ApiKey::OffsetCommit => (
            8,
            &[
                (0, ALL, Text),
                (1, ALL, Fixed(4)),
                (1, ALL, Text),
                (7, ALL, Text),
                (2, 4, Fixed(8)),
                (
                    0,
                    ALL,
                    List(&[
                        (0, 9, Text),
                        (
                            0,
                            ALL,
                            List(&[(0, ALL, Fixed(4 + 8)), (6, ALL, Fixed(4)), (0, ALL, Text)]),
                        ),
                    ]),
                ),
            ],
        ),
        ApiKey::OffsetFetch => (
            6,
            &[
                (0, 7, Text),
                (0, 7, List(&[(0, ALL, Text), (0, ALL, List(INDEXES))])),
                (
                    8,
                    ALL,
                    List(&[
                        (8, ALL, Text),
                        (9, ALL, Text),
                        (9, ALL, Fixed(4)),
                        (8, ALL, List(&[(8, 9, Text), (8, ALL, List(INDEXES))])),
                    ]),
                ),
            ],
        ),
        ApiKey::FindCoordinator => (3, &[(0, 3, Text), (1, ALL, Fixed(1)), (4, ALL, List(NAMES))]),
        ApiKey::JoinGroup => (
            6,
            &[
                (0, ALL, Text),
                (0, ALL, Fixed(4)),
                (1, ALL, Fixed(4)),
                (0, ALL, Text),
                (5, ALL, Text),
                (0, ALL, Text),
                (0, ALL, List(&[(0, ALL, Text), (0, ALL, Blob)])),
            ],
        ),
        ApiKey::SyncGroup => (
            4,
            &[
                (0, ALL, Text),
                (0, ALL, Fixed(4)),
                (0, ALL, Text),
                (3, ALL, Text),
                (5, ALL, Text),
                (5, ALL, Text),
                (0, ALL, List(&[(0, ALL, Text), (0, ALL, Blob)])),
            ],
        ),
        ApiKey::LeaveGroup => (
            4,
            &[
                (0, ALL, Text),
                (0, 2, Text),
                (3, ALL, List(&[(3, ALL, Text), (3, ALL, Text), (5, ALL, Text)])),
            ],
        ),
        ApiKey::DescribeGroups => (5, &[(0, ALL, List(NAMES))]),
        ApiKey::ListGroups => (3, &[(4, ALL, List(NAMES)), (5, ALL, List(NAMES))]),
        ApiKey::DeleteGroups => (2, &[(0, ALL, List(NAMES))]),
        ApiKey::OffsetDelete => {
            (ALL, &[(0, ALL, Text), (0, ALL, List(&[(0, ALL, Text), (0, ALL, List(INDEXES))]))])
        }
        ApiKey::CreateTopics => (
            5,
            &[(
                0,
                ALL,
                List(&[
                    (0, ALL, Text),
                    (0, ALL, Fixed(4 + 2)),
                    (0, ALL, List(&[(0, ALL, Fixed(4)), (0, ALL, List(INDEXES))])),
                    (0, ALL, List(&[(0, ALL, Text), (0, ALL, Text)])),
                ]),
            )],
        ),
        ApiKey::DeleteTopics => {
            (4, &[(6, ALL, List(&[(6, ALL, Text), (6, ALL, Fixed(16))])), (0, 5, List(NAMES))])
        }
        ApiKey::CreatePartitions => (
            2,
            &[(
                0,
                ALL,
                List(&[
                    (0, ALL, Text),
                    (0, ALL, Fixed(4)),
                    // An assignment is a struct around one array.
                    (0, ALL, List(&[(0, ALL, List(INDEXES))])),
                ]),
            )],
        ),
        ApiKey::DescribeConfigs => {
            (4, &[(0, ALL, List(&[(0, ALL, Fixed(1)), (0, ALL, Text), (0, ALL, List(NAMES))]))])
        }
        ApiKey::OffsetForLeaderEpoch => (
            4,
            &[
                (3, ALL, Fixed(4)),
                (
                    0,
                    ALL,
                    List(&[
                        (0, ALL, Text),
                        (
                            0,
                            ALL,
                            List(&[(0, ALL, Fixed(4)), (2, ALL, Fixed(4)), (0, ALL, Fixed(4))]),
                        ),
                    ]),
                ),
            ],
        ),
        ApiKey::AddPartitionsToTxn => (
            3,
            &[
                (0, 3, Text),
                (0, 3, Fixed(8 + 2)),
                (0, 3, List(&[(0, ALL, Text), (0, ALL, List(INDEXES))])),
            ],
        ),
        ApiKey::TxnOffsetCommit => (
            3,
            &[
                (0, ALL, Text),
                (0, ALL, Text),
                (0, ALL, Fixed(8 + 2)),
                (3, ALL, Fixed(4)),
                (3, ALL, Text),
                (3, ALL, Text),
                (
                    0,
                    ALL,
                    List(&[
                        (0, ALL, Text),
                        (
                            0,
                            ALL,
                            List(&[(0, ALL, Fixed(4 + 8)), (2, ALL, Fixed(4)), (0, ALL, Text)]),
                        ),
                    ]),
                ),
            ],
        ),
        _ => return None,
    })
}

/// Far above what a client of one node sends.
const MAX_ELEMENTS: usize = 200_000;

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
