use super::{
    master::{Customer, Master, RICSU, VINET},
    random::Random,
    sql::{Cents, Date, Inserts},
};

/// How many orders and lines one unit of the scale has.
pub(super) const ORDERS: u32 = 829;
pub(super) const LINES: u32 = 2152;

/// One unit of the scale. Within it the shares of customers, employees, shippers, discounts and so
/// on are exact, because a fixed set of them is shuffled; so memory is bounded by one block and
/// the shares are the same at every scale.
#[derive(Debug)]
pub(super) struct Block<'a> {
    master: &'a Master,
    seed: u64,
    number: u32,
    scale: u32,
    random: Random,
}

impl<'a> Block<'a> {
    pub(super) const fn new(master: &'a Master, seed: u64, number: u32, scale: u32) -> Self {
        Self { master, seed, number, scale, random: Random::new(seed, number as u64) }
    }

    /// The statements that insert the block's orders, and then their lines.
    pub(super) fn statements(mut self) -> Vec<String> {
        let customers = self.customers();
        let employees = self.with_fixed(quota(&EMPLOYEE_ORDERS), &VINET_EMPLOYEES);
        let mut shippers = quota(&SHIPPER_ORDERS);
        self.random.shuffle(&mut shippers);
        // Neighbours in the ranking differ by little, so that nearly all freights are different.
        let mut freights: Vec<u32> = (0..ORDERS).collect();
        self.random.shuffle(&mut freights);
        let mut last = VINET_LINES.to_vec();
        last.push((ORDERS - 1, LINES_OF_LAST));
        let line_counts = self.with_fixed(quota(&LINE_COUNTS), &last);

        let mut orders = Inserts::into("ods.orders");
        let rows = customers.into_iter().zip(employees).zip(shippers).zip(freights);
        for (index, (((customer, employee), shipper), freight)) in (0..).zip(rows) {
            let dates = self.dates(index);
            let party = &customer.party;
            orders.row(&[
                &order_id(self.number, index),
                &customer.id,
                &employee,
                &dates.ordered,
                &dates.required,
                &dates.shipped,
                &shipper,
                &freight_of_rank(freight),
                &party.company,
                &party.address,
                &party.place.city,
                &party.place.region,
                &party.postal_code,
                &party.place.country,
            ]);
        }
        let mut statements = orders.finish();
        statements.extend(self.lines(&line_counts).finish());
        statements
    }

    fn lines(&mut self, line_counts: &[u32]) -> Inserts {
        let mut quantities = quota(&QUANTITIES);
        let mut discounts = quota(&DISCOUNTS);
        self.random.shuffle(&mut quantities);
        self.random.shuffle(&mut discounts);
        let mut terms = quantities.into_iter().zip(discounts);
        let mut number = self.number * LINES;
        let mut rows = Inserts::into("ods.order_details");
        let mut products: Vec<(u32, Cents)> =
            (1..).zip(self.master.products.iter().map(|product| product.price)).collect();
        for (index, &count) in (0..).zip(line_counts) {
            self.random.shuffle(&mut products);
            let mut chosen: Vec<_> = products.iter().take(count as usize).copied().collect();
            chosen.sort_unstable();
            for (product, list) in chosen {
                let Some((quantity, discount)) = terms.next() else { break };
                // Prices went up by a quarter after about a third of the orders.
                let early = number < EARLY_LINES * self.scale;
                let price = if early { Cents(list.0 * 4 / 5) } else { list };
                number += 1;
                let order = order_id(self.number, index);
                rows.row(&[&order, &product, &price, &quantity, &Cents(discount)]);
            }
        }
        rows
    }

    /// Who ordered. The customer of the story has the same five orders at every scale.
    fn customers(&mut self) -> Vec<&'a Customer> {
        let master = self.master;
        let find = |id: &str| master.customers.iter().find(|customer| customer.id == id);
        let (Some(vinet), Some(ricsu)) = (find(VINET), find(RICSU)) else { return Vec::new() };
        let without_code = |customer: &&Customer| customer.party.postal_code.is_none();
        let mut customers = vec![ricsu; 10];
        if let Some(galway) = master.customers.iter().find(without_code) {
            customers.extend([galway; 19]);
        }
        let others = master.customers.iter().filter(|customer| {
            customer.id != VINET && customer.id != RICSU && !without_code(customer)
        });
        // Who orders much is the same in all blocks; the two customers left over have no order.
        let mut others: Vec<&Customer> = others.collect();
        Random::new(self.seed, FAVOURITES_STREAM).shuffle(&mut others);
        for (customer, count) in others.into_iter().zip(CUSTOMER_ORDERS) {
            customers.extend(std::iter::repeat_n(customer, count));
        }
        if self.number == 0 {
            self.random.shuffle(&mut customers);
            for (index, _) in VINET_EMPLOYEES {
                customers.insert(index as usize, vinet);
            }
        } else {
            customers.extend([ricsu; VINET_EMPLOYEES.len()]);
            self.random.shuffle(&mut customers);
        }
        customers
    }

    /// Shuffles `values`, but in the first block keeps what `fixed` says, `(index, value)` by
    /// rising index, in its place.
    fn with_fixed(&mut self, mut values: Vec<u32>, fixed: &[(u32, u32)]) -> Vec<u32> {
        if self.number > 0 {
            self.random.shuffle(&mut values);
            return values;
        }
        for (_, value) in fixed {
            if let Some(found) = values.iter().position(|other| other == value) {
                values.swap_remove(found);
            }
        }
        self.random.shuffle(&mut values);
        for &(index, value) in fixed {
            values.insert(index as usize, value);
        }
        values
    }

    fn dates(&mut self, index: u32) -> Dates {
        let (position, total) = (self.number * ORDERS + index, self.scale * ORDERS);
        let ordered = Date(FIRST_DAY.0 + day_of(position, total));
        let required = ordered.0 + if position == 0 { 28 } else { self.required_delay() };
        let delay = if position == 0 { 12 } else { self.shipping_delay() };
        let open = is_open(total - 1 - position, self.scale)
            || order_id(self.number, index) == LAST_OF_FIRST_BLOCK;
        // What is ready on a weekend leaves on Monday.
        let ready = ordered.0 + delay;
        let leaves = match (ready - FIRST_DAY.0 + 3) % 7 {
            5 => ready + 2,
            6 => ready + 1,
            _ => ready,
        };
        let shipped = (!open).then_some(Date(leaves.min(LAST_DAY.0)));
        Dates { ordered, required: Date(required), shipped }
    }

    const fn required_delay(&mut self) -> u32 {
        match self.random.below(100) {
            0..8 => 14,
            8..15 => 42,
            _ => 28,
        }
    }

    /// 8.5 days on average, with the weekends.
    const fn shipping_delay(&mut self) -> u32 {
        if self.random.below(100) < 85 {
            self.random.between(1, 10)
        } else {
            self.random.between(14, 35)
        }
    }
}

struct Dates {
    ordered: Date,
    required: Date,
    shipped: Option<Date>,
}

/// Identifiers go up without a gap but one: the order that the story inserts.
pub(super) const fn order_id(block: u32, index: u32) -> u32 {
    let id = FIRST_ID + block * ORDERS + index;
    if id < LEFT_OUT { id } else { id + 1 }
}

/// Days after the first day of an order, in 480 weekdays of 96 weeks. Business grows: at the end
/// there are three times as many orders a day as at the start.
fn day_of(position: u32, total: u32) -> u32 {
    let (n, total) = (u64::from(position), u64::from(total));
    // 480 (3x - x^2) / 2 for x = n / total, which runs from 0 to 480.
    let weekday = 480 * (3 * n * total - n * n) / (2 * total * total);
    // The first day is a Thursday, so three weekdays of its week are over.
    let days = (weekday + 3) / 5 * 7 + (weekday + 3) % 5 - 3;
    u32::try_from(days).unwrap_or_default()
}

/// Whether an order is not shipped yet: of the last 69, the 8 newest and 12 others.
const fn is_open(from_the_end: u32, scale: u32) -> bool {
    if from_the_end < 8 * scale {
        return true;
    }
    let older = from_the_end - 8 * scale;
    older < 61 * scale && (older + 1) * 12 / 61 > older * 12 / 61
}

/// Interpolates between the quantiles.
fn freight_of_rank(rank: u32) -> Cents {
    // In parts of 828, the highest rank.
    const QUANTILES: [(u32, u32); 9] = [
        (0, 2),
        (41, 90),
        (83, 330),
        (207, 1338),
        (414, 4136),
        (621, 9143),
        (745, 18_000),
        (803, 36_000),
        (828, 100_764),
    ];
    let pairs = QUANTILES.iter().zip(QUANTILES.iter().skip(1));
    for (&(low, from), &(high, to)) in pairs {
        if rank <= high {
            return Cents(from + (to - from) * (rank - low) / (high - low));
        }
    }
    Cents(0)
}

/// Each value as often as its count says.
fn quota(counts: &[(u32, usize)]) -> Vec<u32> {
    counts.iter().flat_map(|&(value, count)| std::iter::repeat_n(value, count)).collect()
}

/// Far from the numbers of blocks, which are streams too.
const FAVOURITES_STREAM: u64 = u64::MAX - 1;
const FIRST_ID: u32 = 10_248;
const LEFT_OUT: u32 = 11_075;
const LAST_OF_FIRST_BLOCK: u32 = 11_077;
/// 1996-07-04 and 1998-05-06, days since 1970-01-01.
const FIRST_DAY: Date = Date(9_681);
const LAST_DAY: Date = Date(10_352);

/// Index within the first block and employee of the orders 10248, 10274, 10295, 10737 and 10739.
const VINET_EMPLOYEES: [(u32, u32); 5] = [(0, 5), (26, 6), (47, 2), (489, 2), (491, 3)];
const VINET_LINES: [(u32, u32); 5] = [(0, 3), (26, 2), (47, 3), (489, 2), (491, 3)];
const LINES_OF_LAST: u32 = 25;
/// So many lines are at the old prices.
const EARLY_LINES: u32 = 662;

const EMPLOYEE_ORDERS: [(u32, usize); 9] =
    [(4, 156), (3, 127), (1, 123), (8, 103), (2, 96), (7, 72), (6, 67), (9, 43), (5, 42)];
const SHIPPER_ORDERS: [(u32, usize); 3] = [(1, 249), (2, 325), (3, 255)];
const LINE_COUNTS: [(u32, usize); 7] =
    [(1, 137), (2, 283), (3, 247), (4, 125), (5, 33), (6, 3), (25, 1)];
/// In hundredths.
const DISCOUNTS: [(u32, usize); 11] = [
    (0, 1317),
    (5, 185),
    (10, 173),
    (15, 157),
    (20, 161),
    (25, 154),
    (1, 1),
    (2, 1),
    (3, 1),
    (4, 1),
    (6, 1),
];
/// 86 customers; with 5, 10 and 19 of the three that are set apart, 829.
const CUSTOMER_ORDERS: [usize; 86] = [
    31, 29, 27, 19, 18, 18, 17, 17, 16, 14, 14, 14, 14, 14, 13, 14, 14, 14, 14, 13, 13, 13, 13, 13,
    12, 12, 12, 12, 12, 11, 11, 11, 11, 11, 10, 10, 10, 10, 10, 9, 9, 9, 9, 9, 8, 8, 8, 8, 8, 8, 7,
    7, 7, 7, 7, 6, 6, 6, 6, 6, 5, 5, 5, 5, 5, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1,
    1, 1, 1,
];
const QUANTITIES: [(u32, usize); 55] = [
    (1, 72),
    (2, 69),
    (3, 67),
    (4, 65),
    (5, 144),
    (6, 61),
    (7, 59),
    (8, 58),
    (9, 56),
    (10, 221),
    (12, 51),
    (14, 48),
    (15, 105),
    (16, 12),
    (18, 42),
    (20, 163),
    (21, 38),
    (24, 35),
    (25, 77),
    (28, 31),
    (30, 118),
    (32, 7),
    (33, 7),
    (35, 56),
    (36, 24),
    (39, 6),
    (40, 87),
    (42, 20),
    (44, 5),
    (45, 41),
    (48, 4),
    (49, 4),
    (50, 63),
    (52, 4),
    (54, 4),
    (55, 30),
    (56, 3),
    (60, 46),
    (63, 3),
    (65, 22),
    (66, 3),
    (70, 34),
    (72, 2),
    (77, 2),
    (80, 25),
    (84, 1),
    (90, 18),
    (91, 1),
    (97, 1),
    (99, 1),
    (100, 13),
    (110, 10),
    (119, 1),
    (120, 7),
    (130, 5),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_fill_a_block() {
        let sum = |counts: &[(u32, usize)]| counts.iter().map(|(_, count)| count).sum::<usize>();
        for quota in [&EMPLOYEE_ORDERS[..], &SHIPPER_ORDERS, &LINE_COUNTS] {
            assert_eq!(sum(quota), ORDERS as usize);
        }
        for quota in [&DISCOUNTS[..], &QUANTITIES] {
            assert_eq!(sum(quota), LINES as usize);
        }
        let lines: usize = LINE_COUNTS.iter().map(|&(lines, n)| lines as usize * n).sum();
        assert_eq!(lines, LINES as usize);
        assert_eq!(CUSTOMER_ORDERS.iter().sum::<usize>() + 5 + 10 + 19, ORDERS as usize);
    }

    #[test]
    fn identifiers_leave_one_out() {
        assert_eq!(order_id(0, 0), 10_248);
        assert_eq!(order_id(0, 826), 11_074);
        assert_eq!(order_id(0, 827), 11_076);
        assert_eq!(order_id(0, 828), LAST_OF_FIRST_BLOCK);
        assert_eq!(order_id(1, 0), 11_078);
        for (index, _) in VINET_EMPLOYEES {
            assert!([10_248, 10_274, 10_295, 10_737, 10_739].contains(&order_id(0, index)));
        }
    }

    #[test]
    fn every_weekday_has_an_order_and_none_is_a_weekend() {
        for scale in [1, 3] {
            let days: Vec<u32> = (0..ORDERS * scale).map(|n| day_of(n, ORDERS * scale)).collect();
            assert!(days.is_sorted());
            assert_eq!((days[0], days[days.len() - 1]), (0, LAST_DAY.0 - FIRST_DAY.0));
            assert!(days.iter().all(|day| (day + 3) % 7 < 5));
            let mut distinct = days;
            distinct.dedup();
            assert_eq!(distinct.len(), 480);
        }
    }

    #[test]
    fn open_orders_are_twenty_of_the_last() {
        for scale in [1, 2, 100] {
            let open = (0..ORDERS * scale).filter(|&n| is_open(n, scale)).count();
            assert_eq!(open, 20 * scale as usize);
        }
        assert!(!is_open(69, 1));
    }

    #[test]
    fn freights_reach_both_ends() {
        assert_eq!(freight_of_rank(0), Cents(2));
        assert_eq!(freight_of_rank(414), Cents(4136));
        assert_eq!(freight_of_rank(828), Cents(100_764));
    }
}
