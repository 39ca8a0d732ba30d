CREATE SCHEMA IF NOT EXISTS registry;
CREATE SCHEMA ods;

-- An identifier can be no parameter of ALTER DATABASE, so the statement is put together.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path TO ods', current_database());
END
$$;

CREATE TABLE ods.categories (
    category_id smallint PRIMARY KEY,
    category_name varchar(15) NOT NULL,
    description text,
    picture bytea
);

CREATE TABLE ods.customers (
    customer_id bpchar PRIMARY KEY,
    company_name varchar(40) NOT NULL,
    contact_name varchar(30),
    contact_title varchar(30),
    address varchar(60),
    city varchar(15),
    region varchar(15),
    postal_code varchar(10),
    country varchar(15),
    phone varchar(24),
    fax varchar(24)
);

CREATE TABLE ods.employees (
    employee_id smallint PRIMARY KEY,
    last_name varchar(20) NOT NULL,
    first_name varchar(10) NOT NULL,
    title varchar(30),
    title_of_courtesy varchar(25),
    birth_date date,
    hire_date date,
    address varchar(60),
    city varchar(15),
    region varchar(15),
    postal_code varchar(10),
    country varchar(15),
    home_phone varchar(24),
    extension varchar(4),
    photo bytea,
    notes text,
    reports_to smallint REFERENCES ods.employees,
    photo_path varchar(255)
);

CREATE TABLE ods.suppliers (
    supplier_id smallint PRIMARY KEY,
    company_name varchar(40) NOT NULL,
    contact_name varchar(30),
    contact_title varchar(30),
    address varchar(60),
    city varchar(15),
    region varchar(15),
    postal_code varchar(10),
    country varchar(15),
    phone varchar(24),
    fax varchar(24),
    homepage text
);

CREATE TABLE ods.products (
    product_id smallint PRIMARY KEY,
    product_name varchar(40) NOT NULL,
    supplier_id smallint REFERENCES ods.suppliers,
    category_id smallint REFERENCES ods.categories,
    quantity_per_unit varchar(20),
    unit_price real,
    units_in_stock smallint,
    units_on_order smallint,
    reorder_level smallint,
    discontinued integer NOT NULL
);

CREATE TABLE ods.region (
    region_id smallint PRIMARY KEY,
    region_description bpchar NOT NULL
);

CREATE TABLE ods.shippers (
    shipper_id smallint PRIMARY KEY,
    company_name varchar(40) NOT NULL,
    phone varchar(24)
);

CREATE TABLE ods.territories (
    territory_id varchar(20) PRIMARY KEY,
    territory_description bpchar NOT NULL,
    region_id smallint NOT NULL REFERENCES ods.region
);

CREATE TABLE ods.employee_territories (
    employee_id smallint NOT NULL REFERENCES ods.employees,
    territory_id varchar(20) NOT NULL REFERENCES ods.territories,
    PRIMARY KEY (employee_id, territory_id)
);

CREATE TABLE ods.orders (
    order_id {ORDER_ID} PRIMARY KEY,
    customer_id bpchar REFERENCES ods.customers,
    employee_id smallint REFERENCES ods.employees,
    order_date date,
    required_date date,
    shipped_date date,
    ship_via smallint REFERENCES ods.shippers,
    freight real,
    ship_name varchar(40),
    ship_address varchar(60),
    ship_city varchar(15),
    ship_region varchar(15),
    ship_postal_code varchar(10),
    ship_country varchar(15)
);

CREATE TABLE ods.order_details (
    order_id {ORDER_ID} NOT NULL REFERENCES ods.orders,
    product_id smallint NOT NULL REFERENCES ods.products,
    unit_price real NOT NULL,
    quantity smallint NOT NULL,
    discount real NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
