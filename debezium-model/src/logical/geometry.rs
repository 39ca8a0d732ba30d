//! Shapes.

use serde::{Deserialize, Serialize};

use super::binary::Binary;

/// A point, `io.debezium.data.geometry.Point`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Point<B = Binary> {
    /// The first coordinate.
    pub x: f64,
    /// The second coordinate.
    pub y: f64,
    /// The same as well-known binary.
    pub wkb: Option<B>,
    /// Identifies the reference system.
    pub srid: Option<i32>,
}

/// A shape of PostGIS, `io.debezium.data.geometry.Geometry` and `Geography`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Geometry<B = Binary> {
    /// The shape in well-known binary.
    pub wkb: B,
    /// Identifies the reference system.
    pub srid: Option<i32>,
}
