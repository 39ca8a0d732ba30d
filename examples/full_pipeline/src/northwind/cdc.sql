-- The outbox: one wide row per order, and the only table that is published.
CREATE TABLE ods.cdc_events (
    order_id {ORDER_ID} PRIMARY KEY,
    customer_id bpchar NOT NULL,
    order_date date,
    required_date date,
    shipped_date date,
    order_items jsonb,
    products jsonb,
    customer jsonb,
    employee jsonb,
    shipper jsonb,
    shipment jsonb,
    updated_at timestamptz
);

-- What the outbox should hold, for one order (the trigger) or all of them (the procedure).
-- Of an order without lines, order_items and products are null.
CREATE VIEW ods.order_events AS
SELECT
    o.order_id,
    o.customer_id,
    o.order_date,
    o.required_date,
    o.shipped_date,
    lines.order_items,
    lines.products,
    to_jsonb(c) AS customer,
    employee.document AS employee,
    to_jsonb(s) AS shipper,
    jsonb_build_object(
        'freight', o.freight,
        'ship_name', o.ship_name,
        'ship_address', o.ship_address,
        'ship_city', o.ship_city,
        'ship_region', o.ship_region,
        'ship_postal_code', o.ship_postal_code,
        'ship_country', o.ship_country
    ) AS shipment
FROM ods.orders o
LEFT JOIN ods.customers c ON c.customer_id = o.customer_id
LEFT JOIN ods.shippers s ON s.shipper_id = o.ship_via
-- OFFSET keeps the planner from merging a subquery into what is around it. So it can remember the
-- documents of the few employees and products instead of making each anew for every order.
LEFT JOIN LATERAL (
    SELECT to_jsonb(e) || jsonb_build_object('territories', (
        SELECT jsonb_agg(
            jsonb_build_object(
                'territory_id', t.territory_id,
                'territory_description', t.territory_description,
                'region_id', r.region_id,
                'region_description', r.region_description
            )
            ORDER BY t.territory_id
        )
        FROM ods.employee_territories et
        JOIN ods.territories t ON t.territory_id = et.territory_id
        JOIN ods.region r ON r.region_id = t.region_id
        WHERE et.employee_id = e.employee_id
    )) AS document
    FROM ods.employees e
    WHERE e.employee_id = o.employee_id
    OFFSET 0
) employee ON true
LEFT JOIN (
    SELECT
        d.order_id,
        jsonb_agg(to_jsonb(d) - 'order_id' ORDER BY d.product_id) AS order_items,
        jsonb_agg(product.document ORDER BY d.product_id) AS products
    FROM ods.order_details d
    LEFT JOIN LATERAL (
        -- Where names are shared, such as supplier_id, the values are equal.
        SELECT to_jsonb(p) || coalesce(to_jsonb(u), '{}') || coalesce(to_jsonb(g), '{}')
            AS document
        FROM ods.products p
        LEFT JOIN ods.suppliers u ON u.supplier_id = p.supplier_id
        LEFT JOIN ods.categories g ON g.category_id = p.category_id
        WHERE p.product_id = d.product_id
        OFFSET 0
    ) product ON true
    GROUP BY d.order_id
) lines ON lines.order_id = o.order_id;

CREATE FUNCTION ods.fn_insert_order_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched ods.orders.order_id%TYPE;
BEGIN
    -- A line can move from one order to another, which changes both. OLD is null on INSERT.
    FOR touched IN
        SELECT NEW.order_id UNION SELECT OLD.order_id WHERE OLD.order_id IS NOT NULL
    LOOP
        INSERT INTO ods.cdc_events (
            order_id, customer_id, order_date, required_date, shipped_date,
            order_items, products, customer, employee, shipper, shipment, updated_at
        )
        SELECT
            order_id, customer_id, order_date, required_date, shipped_date,
            order_items, products, customer, employee, shipper, shipment, now()
        FROM ods.order_events
        WHERE order_id = touched
        ON CONFLICT (order_id) DO UPDATE SET
            customer_id = excluded.customer_id,
            order_date = excluded.order_date,
            required_date = excluded.required_date,
            shipped_date = excluded.shipped_date,
            order_items = excluded.order_items,
            products = excluded.products,
            customer = excluded.customer,
            employee = excluded.employee,
            shipper = excluded.shipper,
            shipment = excluded.shipment,
            updated_at = excluded.updated_at;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER orders_triggered
    AFTER INSERT OR UPDATE ON ods.orders
    FOR EACH ROW EXECUTE FUNCTION ods.fn_insert_order_event();

CREATE TRIGGER order_details_triggered
    AFTER INSERT OR UPDATE ON ods.order_details
    FOR EACH ROW EXECUTE FUNCTION ods.fn_insert_order_event();

CREATE PROCEDURE ods.usp_init_order_events() LANGUAGE sql AS $$
    TRUNCATE ods.cdc_events;
    INSERT INTO ods.cdc_events (
        order_id, customer_id, order_date, required_date, shipped_date,
        order_items, products, customer, employee, shipper, shipment, updated_at
    )
    SELECT
        order_id, customer_id, order_date, required_date, shipped_date,
        order_items, products, customer, employee, shipper, shipment, now()
    FROM ods.order_events
    WHERE order_items IS NOT NULL
    ORDER BY order_id;
$$;

-- Without statistics the planner takes the tables for small.
ANALYZE ods.categories, ods.customers, ods.employees, ods.suppliers, ods.products, ods.region,
    ods.shippers, ods.territories, ods.employee_territories, ods.orders, ods.order_details;

CALL ods.usp_init_order_events();

CREATE PUBLICATION cdc_publication FOR TABLE ods.cdc_events;

COMMENT ON SCHEMA ods IS '{MARKER}';
