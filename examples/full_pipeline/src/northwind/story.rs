//! What happens to the database in the demonstration, step by step. Each constant is one message
//! of the simple protocol.

/// Adds the column `employee_id` to the outbox. No message of logical replication comes of it:
/// the new shape goes out before the next change of the table.
pub const ADD_COLUMN: &str = "ALTER TABLE ods.cdc_events ADD COLUMN employee_id int DEFAULT -1";

/// Fills the new column for one customer: five updates, of the orders 10248, 10274, 10295, 10737
/// and 10739 with the employees 5, 6, 2, 2 and 3, in one transaction.
pub const FILL_COLUMN: &str = "UPDATE ods.cdc_events \
     SET employee_id = (employee ->> 'employee_id')::INT WHERE customer_id = 'VINET'";

/// The order that the generator leaves out.
pub const NEW_ORDER_ID: u32 = 11_075;

/// A new order with three lines, one transaction: the outbox has one insert, whose `order_items`
/// and `products` are null, and three updates with one, two and three items.
pub const NEW_ORDER: &str = "\
BEGIN;
INSERT INTO ods.orders VALUES
(11075, 'RICSU', 8, '1998-05-06', '1998-06-03', NULL, 2, 6.19, 'Ricsund Provisions',
 '5 Kvarngatan', 'Molde', NULL, '6413', 'Norway');
INSERT INTO ods.order_details VALUES (11075, 2, 19, 10, 0.15);
INSERT INTO ods.order_details VALUES (11075, 46, 12, 30, 0.15);
INSERT INTO ods.order_details VALUES (11075, 76, 18, 2, 0.15);
COMMIT";

/// Ships the last order: one update, whose `shipped_date` was null.
pub const SHIP_ORDER: &str =
    "UPDATE ods.orders SET shipped_date = '1998-06-15' WHERE order_id = 11077";

/// The order that [`DELETE_EVENT`] takes out of the outbox.
pub const DELETED_ORDER_ID: u32 = 11_076;

/// Deletes one row of the outbox, which deleting an order does not do by itself.
pub const DELETE_EVENT: &str = "DELETE FROM ods.cdc_events WHERE order_id = 11076";
