//! A database to demonstrate with: a trader's customers, products and orders, and an outbox.
//!
//! The tables, keys, types, row counts and distributions are those of the well-known Northwind
//! example; every name and text in the rows is invented. One unit of the scale is 829 orders with
//! 2,152 lines. The same seed and scale give the same rows on every machine.
//!
//! Triggers keep one wide row per order in the outbox `ods.cdc_events`, four of whose columns are
//! large enough that PostgreSQL stores them out of line. Only that table is published.

mod load;
mod master;
mod orders;
mod places;
mod random;
mod sql;
mod staff;
pub mod story;

pub use load::{Existing, LoadError, Loaded};

use self::{
    master::Master,
    orders::{Block, LINES, ORDERS, order_id},
};

/// The database of one seed and scale, as SQL text that any client can send.
///
/// ```
/// use full_pipeline::northwind::Northwind;
///
/// let northwind = Northwind::new().with_scale(3);
/// assert_eq!(northwind.orders(), 3 * 829);
/// let rows = northwind.data_statements().filter(|sql| sql.starts_with("INSERT INTO ods.orders"));
/// assert_eq!(rows.count(), 3 * 2, "two statements of at most 500 rows for each 829");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Northwind {
    seed: u64,
    scale: u32,
}

impl Northwind {
    /// The database of the usual seed at scale 1.
    pub const fn new() -> Self {
        Self { seed: 1996, scale: 1 }
    }

    /// Other orders, names and texts in the same numbers.
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// So many times 829 orders, from 1 to [`MAX_SCALE`](Self::MAX_SCALE); what is outside counts
    /// as the nearest of these.
    pub const fn with_scale(mut self, scale: u32) -> Self {
        self.scale = match scale {
            0 => 1,
            1..=Self::MAX_SCALE => scale,
            _ => Self::MAX_SCALE,
        };
        self
    }

    /// The highest scale, nearly 83 million orders.
    pub const MAX_SCALE: u32 = 100_000;

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The scale, at least 1.
    #[must_use]
    pub const fn scale(&self) -> u32 {
        self.scale
    }

    /// How many orders there are, and so how many rows the outbox has.
    #[must_use]
    pub const fn orders(&self) -> u32 {
        self.scale * ORDERS
    }

    /// How many lines the orders have.
    #[must_use]
    pub const fn order_lines(&self) -> u32 {
        self.scale * LINES
    }

    /// The type of the order's identifier: `smallint`, or `integer` where the highest one needs it,
    /// which is from scale 28 on.
    #[must_use]
    pub fn order_id_type(&self) -> &'static str {
        match i16::try_from(order_id(self.scale - 1, ORDERS - 1)) {
            Ok(_) => "smallint",
            Err(_) => "integer",
        }
    }

    /// Removes what an earlier load made, if there was one. The empty schema `registry` stays.
    #[must_use]
    pub const fn drop_sql(&self) -> &'static str {
        "DROP PUBLICATION IF EXISTS cdc_publication; DROP SCHEMA IF EXISTS ods CASCADE;"
    }

    /// Makes the schemas `ods` and `registry` and the eleven tables, and lets the current database
    /// search `ods`.
    #[must_use]
    pub fn schema_sql(&self) -> String {
        include_str!("schema.sql").replace("{ORDER_ID}", self.order_id_type())
    }

    /// Fills the tables, by statements of at most 500 rows. They are made as they are asked for;
    /// at any scale, no more than one unit of it is held.
    pub fn data_statements(&self) -> impl Iterator<Item = String> + Send + use<> {
        let Self { seed, scale } = *self;
        let master = Master::new(seed);
        let small_tables = master.statements();
        small_tables.into_iter().chain(
            (0..scale)
                .flat_map(move |number| Block::new(&master, seed, number, scale).statements()),
        )
    }

    /// Makes the outbox with its triggers, fills it and publishes it.
    #[must_use]
    pub fn cdc_sql(&self) -> String {
        include_str!("cdc.sql")
            .replace("{ORDER_ID}", self.order_id_type())
            .replace("{MARKER}", &self.marker())
    }

    /// What a complete load leaves as the comment of the schema `ods`.
    #[must_use]
    pub fn marker(&self) -> String {
        format!("northwind {FORMAT}, seed {}, scale {}", self.seed, self.scale)
    }
}

impl Default for Northwind {
    fn default() -> Self {
        Self::new()
    }
}

/// Goes up when the same seed gives other rows than before.
const FORMAT: u32 = 1;
